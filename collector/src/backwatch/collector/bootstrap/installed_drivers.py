"""Which version of a driver is installed, and whether it meets a requirement.

``importlib.metadata`` and ``packaging`` cost 27 ms of CPU to import. Names of folders answer the usual question: a
distribution of that name lies on ``sys.path``, its version has no suffix, and the requirement is ``name>=version``.
Everything else goes to these two.
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
"""By folder: when it was changed, and the versions by name of what is installed in it."""


def is_supported(requirements: Sequence[str]) -> bool:
    """Return whether any of these requirements is met; with none at all, true: the standard library."""
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
    """The version of the distribution that an import would find first; empty where no folder's name gives it."""
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
            known = _versions_in[path] = changed_ns, _listed(os.listdir(path))  # noqa: PTH208
    except OSError:  # a zip file, or nothing
        return {}
    return known[1]


def _listed(entries: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        if entry.endswith(_METADATA):
            name, _, version = entry.removesuffix(_METADATA).partition("-")
            # Two versions of one name are the rest of an upgrade that failed: metadata decides.
            found[_normal(name)] = "" if _normal(name) in found else version
    return found


def _normal(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()
