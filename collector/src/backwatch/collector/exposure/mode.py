"""The process's setting: whether names of columns and values are read at all."""

import importlib
from typing import Final

MODES: Final = ("off", "columns", "values")
"""Values of the setting, each of which includes those before it."""

reads_columns = True
"""Names of columns and fields are read."""
reads_values = False
"""Values are read, too."""


def set_mode(mode: str) -> None:
    """Set what this process reads."""
    global reads_columns, reads_values
    reads_columns, reads_values = mode != "off", mode == "values"
    if reads_values:
        # Now, not within the app's first call.
        importlib.import_module("backwatch.collector.exposure.column")
