"""National identification numbers with check digits: one file per region, each with its ``FORMATS``.

This folder is walked, so no list names a new file.
"""

import importlib
import pkgutil
from typing import Final

from backwatch.collector.exposure.format import Format


def _discover() -> tuple[Format, ...]:
    regions = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    return tuple(entry for region in regions for entry in region.FORMATS)


FORMATS: Final = _discover()
