"""What ``backwatch probes`` shows: which client libraries are watched, what is installed here, what each one tells."""

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
    """One array, an object per probe."""
    rows = [
        {
            "name": one.name, "module": one.module, "distributions": list(one.distributions),
            "installed": _installed(one), "facts": sorted(one.facts),
        }
        for one in found
    ]  # fmt: skip
    return json.dumps(rows, indent=2)


def format_overview(found: Sequence[type[Probe]]) -> str:
    """A line per probe."""
    rows: list[tuple[str, ...]] = [_HEAD]
    for one in found:
        here = _installed(one)
        wanted = " or ".join(one.distributions) or "always"
        fits = not here or is_supported(one.distributions)
        rows.append((one.name, here or "-", wanted if fits else f"not this one: {wanted}", str(len(one.facts))))
    return "\n".join(align(rows))


def format_facts(found: Sequence[type[Probe]], name: str) -> str:
    """The facts of one probe, and those that others give and it does not.

    Raises:
        click.BadParameter: There is no such probe.
    """
    for one in found:
        if one.name == name:
            # What an error's text shows is told of every driver.
            missing = sorted(
                {fact for other in found for fact in other.facts} - one.facts - {names.RESPONSE_INDICATORS}
            )
            told = [
                *sorted(one.facts),
                "",
                "what it cannot tell, and so is unknown:",
                *(f"  {fact}" for fact in missing),
            ]
            return "\n".join(told if missing else told[:-2])
    raise click.BadParameter(f"{name[:60]!r}: no such probe; backwatch probes lists them", param_hint="'NAME'")


def _installed(probe: type[Probe]) -> str:
    if not probe.distributions:
        return STANDARD
    for text in probe.distributions:
        try:
            return version(Requirement(text).name)
        except PackageNotFoundError:
            continue
    return ""
