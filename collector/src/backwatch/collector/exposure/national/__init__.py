"""National identification numbers with check digits: one file per region, each with its ``FORMATS``."""

from typing import Final

from backwatch.collector.exposure.format import Format
from backwatch.collector.exposure.national import (
    americas,
    asia,
    central_europe,
    northern_europe,
    southern_europe,
    western_europe,
)

FORMATS: Final[tuple[Format, ...]] = (
    *western_europe.FORMATS, *southern_europe.FORMATS, *central_europe.FORMATS, *northern_europe.FORMATS,
    *americas.FORMATS, *asia.FORMATS,
)  # fmt: skip
