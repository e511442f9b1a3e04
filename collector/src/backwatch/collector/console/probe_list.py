"""The output of ``backwatch probes``: supported client libraries, installed versions, reported facts."""

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import click
from packaging.requirements import Requirement

from backwatch.collector import names
from backwatch.collector.bootstrap.installed_drivers import is_supported
from backwatch.collector.console.table import align
from backwatch.collector.probes import Probe

STANDARD: Final = "Python's own"
_HEAD: Final[tuple[str, ...]] = ("probe", "installed here", "watched", "facts")


def format_json(found: Sequence[type[Probe]]) -> str:
    """Return a JSON array with an object per probe."""
    rows = [
        {
            "name": probe.name, "module": probe.module, "distributions": list(probe.distributions),
            "installed": _installed_version(probe), "facts": sorted(probe.facts),
        }
        for probe in found
    ]  # fmt: skip
    return json.dumps(rows, indent=2)


def format_overview(found: Sequence[type[Probe]]) -> str:
    """Return a table with a line per probe."""
    rows: list[tuple[str, ...]] = [_HEAD]
    for probe in found:
        here = _installed_version(probe)
        wanted = " or ".join(probe.distributions) or "always"
        fits = not here or is_supported(probe.distributions)
        rows.append((probe.name, here or "-", wanted if fits else f"not this one: {wanted}", str(len(probe.facts))))
    return "\n".join(align(rows))


def format_facts(found: Sequence[type[Probe]], name: str) -> str:
    """Return the facts of one probe, and those that only other probes report.

    Raises:
        click.BadParameter: There is no such probe.
    """
    for probe in found:
        if probe.name == name:
            # Every driver reports the indicators in an error's text.
            missing = sorted(
                {fact for other in found for fact in other.facts} - probe.facts - {names.RESPONSE_INDICATORS}
            )
            lines = [
                *sorted(probe.facts),
                "",
                "not reported by this probe, and so unknown:",
                *(f"  {fact}" for fact in missing),
            ]
            return "\n".join(lines if missing else lines[:-2])
    raise click.BadParameter(f"{name[:60]!r}: no such probe; backwatch probes lists them", param_hint="'NAME'")


def _installed_version(probe: type[Probe]) -> str:
    if not probe.distributions:
        return STANDARD
    for text in probe.distributions:
        try:
            return version(Requirement(text).name)
        except PackageNotFoundError:
            continue
    return ""
