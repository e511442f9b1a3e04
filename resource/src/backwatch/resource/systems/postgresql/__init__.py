"""PostgreSQL. What its client libraries have in common: the parameters of libpq, and how they follow from a policy."""

from typing import Any, ClassVar, Final

from backwatch.resource.opening import TLS_FIX, Attachment
from backwatch.resource.systems.sql import SqlDriver
from backwatch.resource.tls import find_ca_file

CONTROLLED: Final = (
    "sslmode", "sslrootcert", "ssl_min_protocol_version", "require_auth", "gssencmode", "hostaddr", "host", "port",
)  # fmt: skip
"""Parameters on which the policy decides."""
WEAK_MODES: Final = ("disable", "allow", "prefer")
REQUIRED_AUTH: Final = {"strong": "scram-sha-256", "no-clear-text": "!password"}


class PostgreSQL(SqlDriver):
    """Schemes and port."""

    system: ClassVar = "postgresql"
    schemes: ClassVar = ("postgresql", "postgres")
    default_port: ClassVar = 5432


def libpq_parameters(attachment: Attachment, options: dict[str, Any], libpq_version: int) -> dict[str, Any]:
    """Return the parameters of a safe session.

    Args:
        attachment: URL and policy.
        options: The caller's parameters.
        libpq_version: As ``PQlibVersion`` gives it, 160004. Parameters that an older one does not know are left out.
    """
    policy, url = attachment.policy, attachment.url
    places = attachment.check_places()
    parameters: dict[str, Any] = {
        **url.query, "user": url.user, "password": url.password, "dbname": url.path or None,
        "host": ",".join(host for host, _ in url.hosts) or url.query.get("host"),
        "port": ",".join(str(port) for _, port in url.endpoints(attachment.default_port)) or url.query.get("port"),
    }  # fmt: skip
    if policy.enforced:
        attachment.refuse_option(options, CONTROLLED, "tls")
        refuse_weak_query(attachment)
        if places:
            parameters |= {
                "host": ",".join(place.host for place in places),
                "hostaddr": ",".join(str(place.address) for place in places),
                "port": ",".join(str(place.port) for place in places),
            }
        parameters |= _tls_parameters(attachment) | {
            "gssencmode": "disable",
            "connect_timeout": max(2, round(policy.seconds("connect_timeout_s"))),
            "tcp_user_timeout": round(policy.seconds("read_timeout_s") * 1000),
            "options": " ".join(filter(None, (url.query.get("options"), *_session_settings(attachment)))),
        }
        if libpq_version >= 160_000 and url.password is not None and policy.text("auth") in REQUIRED_AUTH:
            parameters["require_auth"] = REQUIRED_AUTH[policy.text("auth")]
            if attachment.policy.text("auth") == "no-clear-text":
                parameters["require_auth"] += ",!none"
    return {name: value for name, value in {**parameters, **options}.items() if value is not None}


def refuse_weak_query(attachment: Attachment) -> None:
    """Refuse a URL whose own ``sslmode`` would weaken the session."""
    mode = attachment.url.query.get("sslmode", "")
    if mode in WEAK_MODES and attachment.needs_tls:
        attachment.refuse("tls", f"the URL asks for sslmode={mode}", "Leave it out: tls of this resource decides")


def _tls_parameters(attachment: Attachment) -> dict[str, Any]:
    policy = attachment.policy
    if not attachment.needs_tls:
        return {}
    mode = policy.text("tls")
    return {
        "sslmode": mode, "ssl_min_protocol_version": f"TLSv{policy.text('tls_min')}", "sslcompression": 0,
        **({"sslrootcert": find_ca_file(policy)} if attachment.verifies else {}),
    }  # fmt: skip


def _session_settings(attachment: Attachment) -> list[str]:
    policy = attachment.policy
    settings = [f"-c statement_timeout={round(policy.seconds('statement_timeout_s') * 1000)}"]
    if policy.flag("read_only"):
        settings.append("-c default_transaction_read_only=on")
    return settings


def refuse_message(attachment: Attachment, message: str) -> None:
    """Raise what libpq's error message means for a check; otherwise return.

    libpq gives no code for these; its messages have been the same since version 16 (``fe-connect.c``, ``fe-auth.c``).
    """
    lowered = message[:2000].lower()
    if not attachment.policy.enforced:
        return
    if "server does not support ssl" in lowered:
        attachment.refuse("tls", "the server refuses TLS", TLS_FIX)
    if "certificate" in lowered and ("verify" in lowered or "does not match host name" in lowered):
        attachment.refuse("tls", message.strip().splitlines()[-1], TLS_FIX)
    if "ssl error" in lowered or "ssl syscall error" in lowered or "tlsv1 alert" in lowered:
        attachment.refuse("tls", message.strip().splitlines()[-1], TLS_FIX)
    if "authentication method requirement" in lowered or "did not complete authentication" in lowered:
        attachment.refuse(
            "auth", message.strip().splitlines()[-1],
            "Let the server ask for scram-sha-256, or set auth if this login is meant",
        )  # fmt: skip
