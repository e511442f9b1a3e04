"""The environment variables of the collector, as the process began with them.

An app may clear its environment, as daemons do that give up privileges, before its first call. Its calls would then go,
without a word, to the embedded stream, where no detector reads them.
"""

import os
from collections import ChainMap
from collections.abc import Mapping
from typing import Final

_PREFIX: Final = "BACKWATCH_"
_OTHERS: Final = ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "XDG_STATE_HOME", "HOME")
_at_start: dict[str, str] = {}


def remember_environment() -> None:
    """Keep what :func:`environment` falls back to."""
    _at_start.update({name: os.environ[name] for name in os.environ if name.startswith(_PREFIX) or name in _OTHERS})


def forget_environment() -> None:
    """Fall back to nothing from here on."""
    _at_start.clear()


def environment() -> Mapping[str, str]:
    """Return the environment as it is now, with what was removed from it since it was remembered."""
    return ChainMap(os.environ, _at_start) if _at_start else os.environ
