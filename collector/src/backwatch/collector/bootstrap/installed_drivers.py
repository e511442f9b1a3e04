"""Installed versions of drivers, and whether they meet a requirement.

Importing ``importlib.metadata`` and ``packaging`` takes 27 ms of CPU. Names of folders suffice in the usual case: a
distribution of that name is on ``sys.path``, its version has no suffix, and the requirement is ``name>=version``.
Other cases use these two packages.
"""

import os
import re
import sys
from collections.abc import Sequence
from typing import Final

_AT_LEAST: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)>=([0-9]+(?:\.[0-9]+)*)")
_PLAIN: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_SEPARATORS: Final = re.compile(r"[-_.]+")
_METADATA: Final = ".dist-info"

_versions_in: dict[str, tuple[int, dict[str, str]]] = {}
"""By folder: its modification time, and the versions of the distributions in it."""


def is_supported(requirements: Sequence[str]) -> bool:
    """Return whether any requirement is met; true without requirements (the standard library)."""
    return not requirements or any(_is_met(text) for text in requirements)


def _is_met(text: str) -> bool:
    wanted = _AT_LEAST.fullmatch(text)
    version = _version_on_path(wanted[1]) if wanted else ""
    if wanted and _PLAIN.fullmatch(version):
        return _release(version) >= _release(wanted[2])
    return _is_met_by_metadata(text)


def _is_met_by_metadata(text: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(text)
        return wanted.specifier.contains(version(wanted.name), prereleases=True)
    except (PackageNotFoundError, InvalidRequirement):
        return False


def _release(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _version_on_path(name: str) -> str:
    """Return the version of the distribution that an import would find first; empty if no folder's name has it."""
    wanted = _normal(name)
    for path in sys.path:
        version = _installed_in(path or ".").get(wanted)
        if version is not None:
            return version
    return ""


def _installed_in(path: str) -> dict[str, str]:
    try:
        changed_ns = os.stat(path).st_mtime_ns  # noqa: PTH116  pathlib is not worth its import here
        known = _versions_in.get(path)
        if known is None or known[0] != changed_ns:
            known = _versions_in[path] = changed_ns, _parse_entries(os.listdir(path))  # noqa: PTH208
    except OSError:  # a zip file, or no such folder
        return {}
    return known[1]


def _parse_entries(entries: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        if entry.endswith(_METADATA):
            name, _, version = entry.removesuffix(_METADATA).partition("-")
            # Two versions of one name are left by a failed upgrade: the metadata decides.
            found[_normal(name)] = "" if _normal(name) in found else version
    return found


def _normal(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()
