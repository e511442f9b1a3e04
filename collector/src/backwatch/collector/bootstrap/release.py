"""The release of the collector, without a search through the metadata of everything that is installed."""

from typing import Final

RELEASE: Final = "0.1.0"
"""The version of ``pyproject.toml``; a test holds the two against each other."""
