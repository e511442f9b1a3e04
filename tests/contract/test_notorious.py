"""What the rule calls hostile, the collector looks for first."""

from importlib.resources import files

import yaml

from backwatch.collector.pickle_search import NOTORIOUS

RULE = yaml.safe_load(files("backwatch.detector").joinpath("rules", "hostile-payload.yml").read_bytes())


def test_every_module_that_is_called_hostile_is_looked_for_in_what_is_too_long_to_read() -> None:
    detection = RULE["detection"]
    named = {one.partition(".")[0] for one in detection["modules"]["backwatch.payload.globals|startswith"]}
    named.discard(r"\?")
    of_python = {"builtins", "operator", "io", "_io", "types", "functools"}
    assert of_python <= NOTORIOUS
    assert len(named) > 40
    assert named <= NOTORIOUS
