"""Variables of a compose file's services, those of their ``env_file`` too, with ``${NAME}`` filled in."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

MAX_DEPTH: Final = 5
_REFERENCE: Final = re.compile(
    r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+?])((?:[^{}]|\{[^{}]*\})*))?\})"
)
_ReadFile = Callable[[Path], dict[str, str]]


def interpolate(text: str, variables: Mapping[str, str], depth: int = 0) -> str:
    """Fill in references as compose does it. One that nothing fills stays as it is.

    >>> interpolate("redis://:${PW:-a b}@$HOST/${N}$$", {"HOST": "cache"})
    'redis://:a b@cache/${N}$'
    """

    def fill(reference: re.Match[str]) -> str:
        if reference[1]:
            return "$"
        value = variables.get(reference[2] or reference[3])
        operator, other = reference[4] or "", reference[5] or ""
        present = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return interpolate(other, variables, depth + 1) if present else ""
        if value is not None and present:
            return value
        return interpolate(other, variables, depth + 1) if operator.endswith("-") else reference[0]

    return text if depth > MAX_DEPTH else _REFERENCE.sub(fill, text)


def list_compose_variables(
    services: Mapping[str, Any], folder: Path, read_env_file: _ReadFile
) -> Iterator[tuple[str, str, str]]:
    """Yield service, name and value of each variable.

    Args:
        services: The document's services.
        folder: Of the compose file, where its ``.env`` lies.
        read_env_file: Reads a file; fails if there is none.
    """
    beside = folder / ".env"
    variables = {**(read_env_file(beside) if beside.is_file() else {}), **os.environ}
    for owner, service in services.items():
        if not isinstance(service, dict):
            continue
        settings: Mapping[str, Any] = service
        found: dict[str, str | None] = {}
        for path, required in _list_env_files(settings.get("env_file")):
            if required or (folder / path).is_file():
                found |= read_env_file(folder / path)
        found |= dict(_list_pairs(settings.get("environment")))
        for name, value in found.items():
            text = variables.get(name) if value is None else interpolate(value, variables)
            if text is not None:
                yield owner, name, text


def _list_pairs(environment: Any) -> Iterator[tuple[str, str | None]]:
    """Yield names and values; ``None``: as the shell has it."""
    if isinstance(environment, dict):
        pairs: Mapping[Any, Any] = environment
        for name, value in pairs.items():
            yield str(name), None if value is None else str(value)
    elif isinstance(environment, list):
        lines: list[Any] = environment
        for line in lines:
            name, equals, value = str(line).partition("=")
            yield name, value if equals else None


def _list_env_files(named: Any) -> Iterator[tuple[str, bool]]:
    """Yield paths, and whether the file must exist."""
    files: list[Any] = named if isinstance(named, list) else [named]
    for file in files:
        if isinstance(file, dict):
            settings: Mapping[str, Any] = file
            yield str(settings.get("path", "")), settings.get("required", True) is not False
        elif isinstance(file, str):
            yield file, True
