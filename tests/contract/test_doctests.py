"""Every example in a docstring is true."""

import doctest
import importlib

import pytest

from tests.services.process import ROOT


def with_examples() -> list[str]:
    """Return modules that have a ``>>>``, by name."""
    found: list[str] = []
    for path in sorted(ROOT.glob("*/src/backwatch/**/*.py")):
        if ">>> " in path.read_text():
            parts = path.relative_to(next(one for one in path.parents if one.name == "src")).with_suffix("").parts
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


@pytest.mark.parametrize("name", with_examples())
def test_the_examples_of(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried
    assert not failed
