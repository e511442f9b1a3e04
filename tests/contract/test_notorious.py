"""The collector searches for everything that the rule calls hostile, and reports it first."""

from importlib.resources import files

import yaml

from backwatch.collector.payload.hostile_globals import FUNCTIONS, PREFIXES, THROUGH
from backwatch.collector.payload.pickle_search import NOTORIOUS

RULE = yaml.safe_load(
    files("backwatch.detector").joinpath("rules", "shipped", "responses", "hostile-payload.yml").read_bytes()
)
DETECTION = RULE["detection"]
MODULES = [one.replace(r"\?", "?") for one in DETECTION["modules"]["backwatch.payload.globals|startswith"]]
NAMES = DETECTION["functions"]["backwatch.payload.globals"]


def test_every_module_that_is_called_hostile_is_looked_for_in_what_is_too_long_to_read() -> None:
    named = {one.partition(".")[0] for one in (*MODULES, *NAMES)} - {"?"}
    assert len(named) > 50
    assert named <= NOTORIOUS


def test_what_the_rule_calls_hostile_is_what_the_collector_tells_first() -> None:
    assert list(PREFIXES) == MODULES
    assert sorted(FUNCTIONS) == sorted(NAMES)
    assert THROUGH.pattern == DETECTION["through_another"]["backwatch.payload.globals|re"]
