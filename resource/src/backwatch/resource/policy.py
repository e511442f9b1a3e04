"""The policy of one resource: the table's defaults, then the file, then the environment, then the URL.

A URL cannot loosen what the file sets: the file is reviewed, and an attacker may have changed a config variable.

The file is ``pyproject.toml`` or ``backwatch.toml`` in the working directory or above it, or the one that
``BACKWATCH_RESOURCES_FILE`` names: ``[tool.backwatch.resources.NAME]``, outside of ``pyproject.toml``
``[resources.NAME]``.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

from backwatch.resource.checks import CHECKS, ENFORCE, Value
from backwatch.resource.errors import ResourceMisconfigured
from backwatch.resource.plain_text import shorten

ENV_FILE: Final = "BACKWATCH_RESOURCES_FILE"
PROJECT_FILE: Final = "pyproject.toml"
ENV_PREFIX: Final = "BACKWATCH_RESOURCE_"
SYSTEM: Final = "system"
"""Value of ``ca``: the authorities that the machine trusts."""
ALL: Final = "all"
"""Name under which a file holds the settings of every resource."""
FILE, VARIABLE, URL, CODE = "file", "variable", "url", "code"
URL_PREFIX: Final = "backwatch."
MAX_FILE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings of one resource.

    Attributes:
        values: By name of the check; complete.
        sources: Where a value that is not the default stands.
        reviewed: Settings whose value stands in the file or in the app's code.
    """

    values: Mapping[str, Value]
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    reviewed: frozenset[str] = frozenset()

    @property
    def enforced(self) -> bool:
        """Whether a violation is refused."""
        return self.values["mode"] == ENFORCE

    def text(self, name: str) -> str:
        """Return a text setting."""
        return cast("str", self.values[name])

    def seconds(self, name: str) -> float:
        """Return a time in seconds."""
        return cast("float", self.values[name])

    def count(self, name: str) -> int:
        """Return a number of bytes or rows."""
        return cast("int", self.values[name])

    def flag(self, name: str) -> bool:
        """Return a yes or no."""
        return cast("bool", self.values[name])

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list setting."""
        return cast("tuple[str, ...]", self.values[name])


def read_policy(
    name: str,
    from_url: Mapping[str, str],
    variables: Mapping[str, str],
    from_call: Mapping[str, object] = MappingProxyType({}),
) -> Policy:
    """Return the policy of a resource.

    Args:
        name: Name given to ``attach``.
        from_url: Settings of the URL, without their prefix.
        variables: The environment.
        from_call: Settings given to ``attach`` itself.

    Raises:
        ResourceMisconfigured: A setting is unknown or its value is wrong; the message names both.
    """
    values: dict[str, Value] = {check.name: check.default for check in CHECKS.values()}
    sources: dict[str, str] = {}
    in_file: dict[str, tuple[Value, str]] = {}
    unset = {"mode": (ENFORCE, f"attach({name!r})")} if from_call.keys() - {"driver"} else {}
    reviewed: set[str] = set()
    for layer, source, settings in (*_layers(name, from_url, variables), (CODE, f"attach({name!r})", from_call)):
        for key, value in settings.items():
            if key not in CHECKS:
                raise ResourceMisconfigured(
                    f"{source}: {shorten(key)!r} is no setting of a resource; known are {', '.join(CHECKS)}"
                )
            try:
                values[key] = CHECKS[key].take(value)
            except (ValueError, OverflowError) as error:
                raise ResourceMisconfigured(f"{source}: {key} = {shorten(str(value))!r}: {error}") from None
            if layer == FILE:
                in_file[key] = values[key], source
                unset["mode"] = ENFORCE, source  # else a URL switches off all that the file sets
            fixed = (in_file.get(key) or unset.get(key)) if layer == URL else None
            if fixed and CHECKS[key].is_laxer(values[key], fixed[0]):
                raise ResourceMisconfigured(
                    f"{source}: {key} = {shorten(str(value))!r} loosens what {fixed[1]} sets: change it there"
                )
            (reviewed.add if layer in (FILE, CODE) else reviewed.discard)(key)
            sources[key] = source
    return Policy(values=values, sources=sources, reviewed=frozenset(reviewed))


def _layers(
    name: str, from_url: Mapping[str, str], variables: Mapping[str, str]
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    path = find_file(variables)
    if path is not None:
        resources = read_file(path)
        for section in (ALL, name):
            yield FILE, f"{path.name}: resources.{section}", _place_ca(path, resources.get(section, {}))
    for variable in variables:
        rest = variable.removeprefix(ENV_PREFIX).lower()
        known = variable == ENV_FILE or any(rest == key or rest.endswith(f"_{key}") for key in CHECKS)
        if variable.startswith(ENV_PREFIX.rstrip("_")) and not known:
            listed = ", ".join((ENV_FILE, *CHECKS))
            raise ResourceMisconfigured(f"{shorten(variable)} is no setting of a resource; known are {listed}")
    for prefix in (ENV_PREFIX, f"{ENV_PREFIX}{variable_part(name)}_"):
        for check in CHECKS:
            if (variable := prefix + check.upper()) in variables:
                yield VARIABLE, variable, {check: variables[variable]}
    yield URL, f"the URL in {name}", from_url


def _place_ca(path: Path, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings whose relative ``ca`` lies beside its file, wherever the app starts."""
    authorities = settings.get("ca", SYSTEM)
    if not isinstance(authorities, str) or authorities.strip() in ("", SYSTEM):
        return settings
    return {**settings, "ca": str(path.absolute().parent / authorities.strip())}


def variable_part(name: str) -> str:
    """Return a resource's name as it stands in variables.

    >>> variable_part("orders-db")
    'ORDERS_DB'
    """
    return "".join(character if character.isalnum() else "_" for character in name).upper()


def find_file(variables: Mapping[str, str]) -> Path | None:
    """Return the file with the policies: the named one, else the nearest above the working directory."""
    if named := variables.get(ENV_FILE):
        path = Path(named)
        if not path.is_file():
            raise ResourceMisconfigured(f"{ENV_FILE}={shorten(named)!r}: no such file")
        if not read_file(path):
            table = "tool.backwatch.resources" if path.name == PROJECT_FILE else "resources"
            raise ResourceMisconfigured(f"{ENV_FILE}={shorten(named)!r}: it holds no table [{table}.NAME]")
        return path
    try:
        here = Path.cwd()
    except OSError:
        return None
    for folder in (here, *here.parents):
        for candidate in (folder / "backwatch.toml", folder / PROJECT_FILE):
            if candidate.is_file() and read_file(candidate):
                return candidate
    return None


def read_file(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return the settings by resource that a file holds.

    Raises:
        ResourceMisconfigured: The file cannot be read or has another form.
    """
    try:
        stat = path.stat()
        return _read_file(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise ResourceMisconfigured(f"{path.name}: {error.strerror}") from None


@cache
def _read_file(path: Path, modified_ns: int, size: int) -> Mapping[str, Mapping[str, Any]]:
    del modified_ns  # part of the cache's key
    if size > MAX_FILE_BYTES:
        raise ResourceMisconfigured(f"{path.name}: larger than {MAX_FILE_BYTES} bytes")
    try:
        document: Any = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ResourceMisconfigured(f"{path.name}: {error}") from None
    for key in ("tool", "backwatch", "resources") if path.name == PROJECT_FILE else ("resources",):
        document = document.get(key, {})
        if not isinstance(document, dict):
            raise ResourceMisconfigured(f"{path.name}: {key} must be a table")
    for section, settings in document.items():
        if not isinstance(settings, dict):
            raise ResourceMisconfigured(f"{path.name}: resources.{shorten(section)} must be a table of settings")
    return cast("Mapping[str, Mapping[str, Any]]", document)
