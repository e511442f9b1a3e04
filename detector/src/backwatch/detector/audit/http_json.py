"""Reads JSON from a service's HTTP API: one request, bounded, without redirects and without a proxy."""

import base64
import http.client
import json
import ssl
from typing import Any, Final

from backwatch.detector.audit.model import AuditUnavailable, Target

MAX_BYTES: Final = 4 << 20
"""Of one reply."""


def get_json(target: Target, port: int, path: str, *, uses_tls: bool, ca_file: str = "") -> Any:
    """Return the JSON at ``path``; ``None`` where the service has nothing there.

    Raises:
        AuditUnavailable: The service cannot be reached, refuses the login, or sends no JSON.
    """
    where = f"URL {target.shown}, port {port}"
    try:
        connection = (
            http.client.HTTPSConnection(
                target.host, port, timeout=target.timeout_s, context=ssl.create_default_context(cafile=ca_file or None)
            )
            if uses_tls
            else http.client.HTTPConnection(target.host, port, timeout=target.timeout_s)
        )
        token = base64.b64encode(f"{target.user}:{target.password}".encode()).decode()
        try:
            connection.request("GET", path, headers={"Authorization": f"Basic {token}", "Accept": "application/json"})
            reply = connection.getresponse()
            body = reply.read(MAX_BYTES + 1)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise AuditUnavailable(f"{where}: {error}") from None
    if reply.status == http.client.NOT_FOUND:
        return None
    if reply.status != http.client.OK or len(body) > MAX_BYTES:
        raise AuditUnavailable(f"{where}: status {reply.status}; reading rights needs an account that may manage users")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise AuditUnavailable(f"{where}: the reply is no JSON") from None
