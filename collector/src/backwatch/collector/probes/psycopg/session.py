"""Sessions of psycopg connections, from the libpq that each of them runs on."""

import importlib
import sys
from typing import Any, Final

from backwatch.collector.probes.families.postgresql import session
from backwatch.collector.probes.families.postgresql.libpq import Libpq, load_libpq
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.runtime.record import Session

_ATTRIBUTES: Final = {"host": "host", "hostaddr": "hostaddr", "port": "port", "user": "user", "dbname": "db"}
"""libpq's parameters, and the attributes of ``PGconn`` that hold them."""


def _library(pgconn: Any) -> Libpq | None:
    """Return the libpq of this connection: of the binary wheel, of the C build, or the one that ctypes found."""
    module: Any = sys.modules[type(pgconn).__module__]
    by_ctypes = getattr(module, "impl", None)
    if by_ctypes is not None:
        return load_libpq(by_ctypes.pq._name)
    return load_libpq(module.__file__) if getattr(module, "__file__", None) else None


def _read_attributes(pgconn: Any) -> dict[str, str]:
    found = ((key, getattr(pgconn, attribute, None)) for key, attribute in _ATTRIBUTES.items())
    return {key: value.decode("utf-8", "replace") for key, value in found if value}


def parse_conninfo(conninfo: str) -> dict[str, str]:
    """Return the app's own parameters, without the password."""
    parsed: Any = importlib.import_module("psycopg").pq.Conninfo.parse(conninfo.encode())
    return {
        option.keyword.decode(): option.val.decode("utf-8", "replace")
        for option in parsed
        if option.val and option.keyword != b"password"
    }


def describe_connection(pgconn: Any, explicit: dict[str, str] | None) -> Session:
    """Describe an established connection."""
    modes = [option.val.decode() for option in pgconn.info if option.val and option.keyword == b"sslmode"]
    return session.describe_connection(
        _library(pgconn), pgconn.pgconn_ptr, {**_read_attributes(pgconn), "sslmode": modes[0] if modes else ""},
        explicit, uses_tls=bool(pgconn.ssl_in_use), server_version=pgconn.parameter_status(b"server_version"),
        is_superuser=pgconn.parameter_status(b"is_superuser"),
    )  # fmt: skip


def describe_failure(error: Error, explicit: dict[str, str]) -> Session:
    """Describe a connection that failed."""
    return session.describe_request(explicit, error, **_read_attributes(getattr(error, "pgconn", None)))
