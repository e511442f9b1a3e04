"""Driver parameters that fix what a rule reports, driver by driver.

A document is a title, perhaps a note, then a mapping for each kind of service (or several, joined by commas) of a
driver's name to a line of Python. A rule names documents under ``parameters``; the contract tests hold each line
against the driver that is installed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One driver's way.

    Attributes:
        systems: Kinds of service as the contract names them: postgresql, http.
        code: What to write. Names that are no module's stand for the app's own.
    """

    systems: tuple[str, ...]
    driver: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverParameters:
    """The driver parameters for one purpose.

    Attributes:
        name: The document's, by which rules name it.
        note: What goes for all lines; may be empty.
    """

    name: str
    title: str
    note: str
    lines: tuple[Line, ...]


@cache
def discover() -> Mapping[str, DriverParameters]:
    """Return every document by name; ``verified-tls.cask.yml`` adds lines to ``verified-tls.yml``."""
    found = [file for file in files(__name__).iterdir() if file.name.endswith(".yml")]
    documents: dict[str, DriverParameters] = {}
    for file in sorted(found, key=lambda file: (file.name.count("."), file.name)):
        name = file.name.partition(".")[0]
        lines = _read(name, file.read_text())
        whole = documents.get(name)
        documents[name] = lines if whole is None else replace(whole, lines=(*whole.lines, *lines.lines))
    return documents


def _read(name: str, text: str) -> DriverParameters:
    document: dict[str, Any] = yaml.safe_load(text)
    title, note = document.pop("title", ""), " ".join(document.pop("note", "").split())
    lines = [
        Line(systems=tuple(systems.split(", ")), driver=driver, code=code.strip())
        for systems, drivers in document.items()
        for driver, code in drivers.items()
    ]
    return DriverParameters(name=name, title=title, note=note, lines=tuple(lines))
