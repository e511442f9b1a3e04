"""Where resources are declared: environment, ``.env`` file, compose file, Kubernetes manifests, Django settings."""

import base64
import binascii
import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote

from backwatch.resource.checklist.compose import list_compose_variables
from backwatch.resource.django import ATTACHED
from backwatch.resource.errors import ResourceMisconfigured
from backwatch.resource.inspections import discover
from backwatch.resource.plain_text import shorten

MAX_FILE_BYTES: Final = 1 << 20
_LINE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_PLACEHOLDER: Final = re.compile(r"\$\{(\w+)(?::?-([^}]*))?[^}]*\}|\$\((\w+)\)")
DJANGO_PREFIX: Final = "backwatch.resource.django."
_DJANGO_SCHEMES: Final = {"postgresql": "postgresql", "postgis": "postgresql", "mysql": "mysql"}


def find_urls(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that hold the URL of a service that can be checked.

    >>> find_urls({"DATABASE_URL": "postgresql://db/shop", "HOME": "/home/app", "PROXY": "socks5://p"})
    {'DATABASE_URL': 'postgresql://db/shop'}
    """
    known = discover()
    return {
        name: value.strip()
        for name, value in sorted(variables.items())
        if "://" in value and value.strip().partition("://")[0].lower().partition("+")[0] in known
    }


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a ``.env`` file."""
    found: dict[str, str] = {}
    for line in _read(path).splitlines():
        matched = _LINE.fullmatch(line.rstrip())
        if matched is None:
            continue
        name, value = matched.groups()
        if value[:1] in ("'", '"') and (end := value.find(value[0], 1)) > 0:
            value = value[1:end]
        else:
            value = re.split(r"\s#", value, maxsplit=1)[0].strip()
        found[name] = value
    return found


def read_compose_file(path: Path) -> dict[str, str]:
    """Return the variables of a compose file's services, filled in from the environment and the ``.env`` beside it."""
    return _read_yaml_file(path)


def read_manifests(path: Path) -> dict[str, str]:
    """Return the variables of Kubernetes manifests; those that refer to others are filled in."""
    found = _read_yaml_file(path)
    return {name: _fill_in(value, found) for name, value in found.items()}


def _fill_in(text: str, known: Mapping[str, str]) -> str:
    """Replace ``${NAME}``, ``${NAME:-default}`` and ``$(NAME)``; leave those that are not known."""

    def replace(found: re.Match[str]) -> str:
        name, default, other = found.groups()
        value = known.get(name or other)
        if value or (value is not None and default is None):
            return value
        return found[0] if default is None else default

    return _PLACEHOLDER.sub(replace, text)


def refuse_placeholders(name: str, text: str) -> None:
    """Refuse a URL with a placeholder that nothing fills in: what it holds is not the service's.

    Raises:
        ResourceMisconfigured: It has one.
    """
    if found := _PLACEHOLDER.search(text):
        raise ResourceMisconfigured(f"{name} holds the placeholder {shorten(found[0], 60)}, which is not set here")


def _read_yaml_file(path: Path) -> dict[str, str]:
    """Return the variables of a compose file's services or of Kubernetes manifests; names that differ get their owner.

    Raises:
        ResourceMisconfigured: It is no YAML, or PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise ResourceMisconfigured(f"{path.name}: reading YAML needs PyYAML; install pyyaml") from None
    try:
        documents: list[Any] = list(yaml.safe_load_all(_read(path)))
    except (yaml.YAMLError, RecursionError):
        raise ResourceMisconfigured(f"{path.name}: no YAML") from None
    found: dict[str, str] = {}
    for owner, name, value in (each for document in documents for each in _list_variables(document, path.parent)):
        key = name if found.get(name, value) == value else f"{owner}.{name}"
        found[key] = value
    return found


def _list_variables(document: Any, folder: Path) -> Iterator[tuple[str, str, str]]:
    if not isinstance(document, dict):
        return
    kind = document.get("kind")
    if kind in ("Secret", "ConfigMap"):
        owner = str(_get(document, "metadata").get("name", ""))
        for name, value in _get(document, "stringData" if kind == "Secret" else "data").items():
            yield owner, str(name), str(value)
        for name, value in _get(document, "data").items() if kind == "Secret" else ():
            try:
                yield owner, str(name), base64.b64decode(str(value), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                continue
    elif kind:
        yield from _list_container_variables(document, 0)
    yield from list_compose_variables(_get(document, "services"), folder, read_env_file)


def _list_container_variables(node: Any, depth: int) -> Iterator[tuple[str, str, str]]:
    if depth > 12:
        return
    if isinstance(node, list):
        for each in cast("list[Any]", node):
            yield from _list_container_variables(each, depth + 1)
    elif isinstance(node, dict):
        variables: Any = node.get("env")
        for each in cast("list[Any]", variables) if isinstance(variables, list) else ():
            if isinstance(each, dict) and "value" in each:
                yield str(node.get("name", "")), str(each.get("name", "")), str(each["value"])
        for value in node.values():
            yield from _list_container_variables(value, depth + 1)


def _get(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value: Any = document.get(key)
    return value if isinstance(value, dict) else {}


def read_django_settings(module: str) -> dict[str, str]:
    """Return the databases, caches and mail server of a settings module as URLs, attached ones by their names.

    Raises:
        ResourceMisconfigured: The module cannot be imported.
    """
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  what Django's own commands do
    try:
        settings: Any = importlib.import_module(module)
    except Exception as error:  # noqa: BLE001  it is the app's own code
        raise ResourceMisconfigured(f"{shorten(module)}: {type(error).__name__} while it was imported") from None
    finally:
        sys.path.pop(0)
    found = {name: os.environ[name] for name in _list_attached(settings) if name in os.environ}
    for alias, database in getattr(settings, "DATABASES", {}).items():
        scheme = _DJANGO_SCHEMES.get(str(database.get("ENGINE", "")).rpartition(".")[2])
        if scheme and ATTACHED not in database:
            login = _join_login(database.get("USER"), database.get("PASSWORD"))
            host, port = database.get("HOST") or "localhost", database.get("PORT")
            place = f"{host}:{port}" if port else host
            found[f"DATABASES.{alias}"] = f"{scheme}://{login}{place}/{quote(str(database.get('NAME', '')))}"
    for alias, cache in getattr(settings, "CACHES", {}).items():
        location: Any = cache.get("LOCATION")
        for place in location if isinstance(location, (list, tuple)) else [location]:
            text = str(place or "")
            if "memcached" in str(cache.get("BACKEND", "")).lower() and "://" not in text and text:
                text = f"memcached://{text}"
            if "://" in text:
                found[f"CACHES.{alias}"] = text
    attached_mail = str(getattr(settings, "EMAIL_BACKEND", "")).startswith(DJANGO_PREFIX)
    if (host := getattr(settings, "EMAIL_HOST", "")) and not attached_mail:
        scheme = "smtps" if getattr(settings, "EMAIL_USE_SSL", False) else "smtp"
        login = _join_login(getattr(settings, "EMAIL_HOST_USER", ""), getattr(settings, "EMAIL_HOST_PASSWORD", ""))
        found["EMAIL_HOST"] = f"{scheme}://{login}{host}:{getattr(settings, 'EMAIL_PORT', 25)}/"
    return found


def _list_attached(settings: Any) -> Iterator[str]:
    """Yield the variables that databases, caches and mail are attached by."""
    yield from (str(each[ATTACHED]) for each in getattr(settings, "DATABASES", {}).values() if ATTACHED in each)
    for cache in getattr(settings, "CACHES", {}).values():
        if str(cache.get("BACKEND", "")).startswith(DJANGO_PREFIX):
            yield str(cache.get("LOCATION", ""))
    if str(getattr(settings, "EMAIL_BACKEND", "")).startswith(DJANGO_PREFIX):
        yield str(getattr(settings, "MAIL_RESOURCE", "MAIL_URL"))


def _join_login(user: Any, password: Any) -> str:
    if not user and not password:
        return ""
    return f"{quote(str(user or ''), safe='')}:{quote(str(password or ''), safe='')}@"


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ResourceMisconfigured(f"{path.name}: larger than {MAX_FILE_BYTES} bytes")
        return path.read_text()
    except OSError as error:
        raise ResourceMisconfigured(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ResourceMisconfigured(f"{path}: no text") from None
