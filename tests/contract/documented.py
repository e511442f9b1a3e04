"""Code blocks of the documents."""

import re

from tests.services.process import ROOT

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def code(path: str, language: str) -> list[str]:
    """Return the code blocks of a document in one language."""
    return [text for kind, text in FENCE.findall((ROOT / path).read_text()) if kind == language]


def example_file(name: str) -> str:
    """Return the content of the file of this name in CONTRIBUTING.md: ``error_streak.yml``, ``poplib/__init__.py``."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    found = re.search(rf"`[\w/.]*/{re.escape(name)}`.*?^```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found, name
    return found[1]
