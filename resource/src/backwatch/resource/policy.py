"""The policy of one resource: the table's defaults, then the file, then the environment, then the URL.

The file is ``pyproject.toml`` or ``backwatch.toml`` in the working directory or above it, or the one that
``BACKWATCH_RESOURCES_FILE`` names: ``[tool.backwatch.resources.NAME]``, outside of ``pyproject.toml``
``[resources.NAME]``. Where the file or the call of ``attach`` holds settings of a resource, its URL may hold none:
whoever can change a variable must not be able to relax what was reviewed.
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
URL_PREFIX: Final = "backwatch."
MAX_FILE_BYTES: Final = 1 << 20
_DRIVER: Final = {"driver"}
"""The setting that a URL may always hold: its scheme names the library as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings of one resource.

    Attributes:
        values: By name of the check; complete.
        sources: Where a value that is not the default stands.
    """

    values: Mapping[str, Value]
    sources: Mapping[str, str] = field(default_factory=dict[str, str])

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
        ResourceMisconfigured: A setting is unknown, its value is wrong, or it may not stand in the URL; the message
            names both.
    """
    path = find_file(variables)
    in_file = [] if path is None else list(_file_layers(name, path))
    reviewed = [*in_file, (f"attach({name!r})", from_call)]
    for place, settings in reviewed:
        if settings.keys() - _DRIVER and (relaxing := from_url.keys() - _DRIVER):
            raise ResourceMisconfigured(
                f"the URL in {name} sets {shorten(', '.join(sorted(relaxing)))}, but {place} holds this resource's"
                " settings: write it there, or in a variable"
            )
    values: dict[str, Value] = {check.name: check.default for check in CHECKS.values()}
    sources: dict[str, str] = {}
    in_url = (f"the URL in {name}", from_url)
    for source, settings in (*in_file, *_variable_layers(name, variables), in_url, reviewed[-1]):
        for key, value in settings.items():
            if key not in CHECKS:
                raise ResourceMisconfigured(
                    f"{source}: {shorten(key)!r} is no setting of a resource; known are {', '.join(CHECKS)}"
                )
            try:
                values[key] = CHECKS[key].take(value)
            except (ValueError, OverflowError) as error:
                raise ResourceMisconfigured(f"{source}: {key} = {shorten(str(value))!r}: {error}") from None
            sources[key] = source
    return Policy(values=values, sources=sources)


def _file_layers(name: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    resources = read_file(path)
    for section in (ALL, name):
        settings = dict(resources.get(section, {}))
        authorities = settings.get("ca", SYSTEM)
        if isinstance(authorities, str) and authorities.strip() != SYSTEM:
            settings["ca"] = str(
                path.absolute().parent / authorities.strip()
            )  # a file's own folder, wherever the app starts
        yield f"{path.name}: resources.{section}", settings


def _variable_layers(name: str, variables: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for variable in variables:
        rest = variable.removeprefix(ENV_PREFIX).lower()
        if variable.startswith(ENV_PREFIX) and not any(rest == key or rest.endswith(f"_{key}") for key in CHECKS):
            raise ResourceMisconfigured(
                f"{shorten(variable)} is no setting of a resource; known are {', '.join(CHECKS)}"
            )
    for prefix in (ENV_PREFIX, f"{ENV_PREFIX}{variable_part(name)}_"):
        for check in CHECKS:
            if (variable := prefix + check.upper()) in variables:
                yield variable, {check: variables[variable]}


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
