"""The release of the collector, without a search in the metadata of all installed packages."""

from typing import Final

RELEASE: Final = "0.1.0"
"""The version in ``pyproject.toml``; a test compares them."""
