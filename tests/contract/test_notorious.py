"""The collector searches for every module that the rule calls hostile, and reports it first."""

from importlib.resources import files

import yaml

from backwatch.collector.payload.hostile_globals import FUNCTIONS, GADGETS, PREFIXES, THROUGH
from backwatch.collector.payload.pickle_search import NOTORIOUS

RULE = yaml.safe_load(
    files("backwatch.detector").joinpath("rules", "shipped", "responses", "hostile-payload.yml").read_bytes()
)
DETECTION = RULE["detection"]
MODULES = [one.replace(r"\?", "?") for one in DETECTION["modules"]["backwatch.payload.globals|startswith"]]
NAMES = DETECTION["functions"]["backwatch.payload.globals"]


def test_every_hostile_module_is_searched_in_oversized_pickles() -> None:
    named = {one.partition(".")[0] for one in (*MODULES, *NAMES)} - {"?"}
    assert len(named) > 50
    assert named <= NOTORIOUS


def test_collector_reports_first_the_rules_hostile_modules() -> None:
    assert list(PREFIXES) == MODULES
    assert list(GADGETS) == DETECTION["gadgets"]["backwatch.payload.globals|startswith"]
    assert sorted(FUNCTIONS) == sorted(NAMES)
    assert THROUGH.pattern == DETECTION["through_another"]["backwatch.payload.globals|re"]
