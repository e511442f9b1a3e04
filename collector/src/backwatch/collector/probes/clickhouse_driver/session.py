"""Sessions of clickhouse-driver's connections."""

import dataclasses
import sys
from typing import Any

from backwatch.collector.probes.toolkit.connections import connection_facts
from backwatch.collector.probes.toolkit.dbapi import build_session
from backwatch.collector.probes.toolkit.sockets import descriptor, tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import mode_of
from backwatch.collector.runtime.record import Session


def describe_request(connection: Any, host: object, port: object) -> Session:
    """Describe an attempt before the first byte."""
    is_secure, mode = bool(getattr(connection, "secure_socket", False)), "disable"
    if is_secure:
        checks_name = getattr(connection, "check_hostname", _always_checks_host())
        mode = mode_of(verifies=connection.verify_cert, checks_name=checks_name)
    return build_session(
        "clickhouse", host, port, tls=(mode, is_secure),  # without the option there is no TLS
        database=getattr(connection, "database", None), account=getattr(connection, "user", None),
    )  # fmt: skip


def _always_checks_host() -> bool:
    """Return true for versions without an option for it that check the host's name wherever they verify."""
    return getattr(sys.modules.get("clickhouse_driver"), "VERSION", (0,)) >= (0, 2, 7)


def describe_connection(connection: Any, host: object, port: object, *, failed: bool = False) -> Session:
    """Describe the connection that the driver holds at this moment."""
    socket, server = connection.socket, connection.server_info
    request = describe_request(connection, host, port)
    if descriptor(socket) < 0:
        return request
    # The protocol has no other method: the password goes as it is.
    method = "" if failed else "clear-password" if connection.password else "none"
    version = ".".join(str(part) for part in server.version_tuple()) if server is not None else ""
    return dataclasses.replace(
        request, server_version=words(version), auth_method=method, **connection_facts(socket, tls_of(socket))
    )
