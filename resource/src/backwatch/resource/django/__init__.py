"""Django: databases, caches and mail by the names of their config variables.

from backwatch.resource.django import attach_cache, attach_database

DATABASES = {"default": attach_database("DATABASE_URL")}
CACHES = {"default": attach_cache("CACHE_URL")}
EMAIL_BACKEND = "backwatch.resource.django.mail.EmailBackend"      # attaches MAIL_URL
"""

import os
from collections.abc import Mapping
from typing import Any, Final

from backwatch.resource.errors import ResourceMisconfigured
from backwatch.resource.plain_text import shorten
from backwatch.resource.url import read_url

ENGINES: Final = {
    "postgresql": "backwatch.resource.django.postgresql", "postgres": "backwatch.resource.django.postgresql",
    "mysql": "backwatch.resource.django.mysql", "mariadb": "backwatch.resource.django.mysql",
}  # fmt: skip
ATTACHED: Final = "RESOURCE"
"""Key of a database's settings that holds the name of the variable."""


def attach_database(name: str, **settings: Any) -> dict[str, Any]:
    """Return the settings of a database; its password stays in the environment.

    Args:
        name: Name of the variable.
        settings: Further settings of Django (``CONN_MAX_AGE``, ``OPTIONS``, ``TEST``).

    Raises:
        ResourceMisconfigured: The variable is missing, or names no database that Django knows.
    """
    if name not in os.environ:
        raise ResourceMisconfigured(f"{shorten(name)} is not set: it must hold the URL of a database")
    url = read_url(name, os.environ[name])
    engine = ENGINES.get(url.scheme)
    if engine is None:
        raise ResourceMisconfigured(f"{name}: {shorten(url.scheme)}:// is no database that can be attached to Django")
    return {
        "ENGINE": engine, ATTACHED: name, "NAME": url.path, "USER": url.user or "", "HOST": url.host,
        "PORT": str((url.hosts[0][1] if url.hosts else None) or ""), **settings,
    }  # fmt: skip


def attach_cache(name: str, **settings: Any) -> dict[str, Any]:
    """Return the settings of a cache on Redis or Valkey, whose values are JSON instead of pickles."""
    return {"BACKEND": "backwatch.resource.django.cache.AttachedCache", "LOCATION": name, **settings}


def find_name(settings: Mapping[str, Any]) -> str:
    """Return the variable of a database's settings."""
    name = settings.get(ATTACHED)
    if not isinstance(name, str):
        raise ResourceMisconfigured(f"the database has no {ATTACHED}: make its settings with attach_database")
    return name
