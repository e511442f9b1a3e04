"""An engine with every detector and rule."""

from backwatch.detector import detectors
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.rules.rulebook import load


def make_engine(config: EngineConfig, rules_directory: str = "") -> Engine:
    """An engine with every detector and rule there is."""
    return Engine(config, [kind() for kind in detectors.discover()], load(rules_directory))
