"""Reading order of facts: request, suspicion, response, call site, session."""

from collections.abc import Iterable
from typing import Final

from backwatch.collector import names

_BEFORE: Final = (
    names.QUERY_TEXT, names.STATEMENT, names.OPERATION, names.HTTP_METHOD, names.HTTP_ROUTE, names.URL_FULL,
    names.URL_SECRET, names.QUERY_SIGNS, names.REDIRECT_TARGET, names.PAYLOAD_FORMAT, names.PAYLOAD_GLOBALS,
    names.LOCAL_INFILE, names.LOCAL_INFILE_FILE, names.STARTTLS_OFFERED,
)  # fmt: skip
_AFTER: Final = (
    names.ROWS_RETURNED, names.ROWS_AFFECTED, names.BYTES_RECEIVED, names.BYTES_SENT, names.BYTES_ESTIMATED,
    names.ERROR_TYPE, names.STATUS_CODE, names.HTTP_STATUS,
    names.CODE_FUNCTION, names.CODE_FILE, names.CODE_LINE,
    names.TLS_ESTABLISHED, names.TLS_VERIFIED, names.TLS_VERSION, names.TLS_CIPHER, names.TLS_REQUESTED,
    names.TLS_REQUESTED_EXPLICIT, names.CERT_SHA256, names.CERT_SUBJECT, names.CERT_ISSUER, names.CERT_NOT_BEFORE,
    names.CERT_NOT_AFTER, names.ACCOUNT, names.ACCOUNT_SUPERUSER, names.AUTH_METHOD, names.PEER_ADDRESS,
    names.PEER_PORT, names.TRANSPORT, names.SERVER_VERSION, names.SERVER_ID,
    names.DB_SYSTEM, names.MESSAGING_SYSTEM, names.RPC_SYSTEM, names.SYSTEM, names.RESOURCE_NAME, names.SERVER_ADDRESS,
    names.SERVER_PORT, names.DB_NAMESPACE, names.MESSAGING_DESTINATION,
    names.SERVICE_NAMESPACE, names.SERVICE_NAME, names.ENVIRONMENT,
)  # fmt: skip
_PLACE: Final = {
    **{name: (0, place) for place, name in enumerate(_BEFORE)},
    **{name: (2, place) for place, name in enumerate(_AFTER)},
}
"""Facts in neither list are derived facts and scores: they come between the two."""


def in_reading_order(facts: Iterable[str]) -> list[str]:
    """The names, sorted for reading.

    >>> in_reading_order(["tls.established", "backwatch.rows.score", "db.query.text"])
    ['db.query.text', 'backwatch.rows.score', 'tls.established']
    """
    return sorted(facts, key=lambda name: (*_PLACE.get(name, (1, 0)), name))
