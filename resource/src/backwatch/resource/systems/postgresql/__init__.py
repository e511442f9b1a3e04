"""PostgreSQL. What its client libraries have in common: the parameters of libpq, and how they follow from a policy."""

import os
from dataclasses import replace
from typing import Any, ClassVar, Final

from backwatch.resource.errors import ResourceMisconfigured
from backwatch.resource.opening import TLS_FIX, Attachment
from backwatch.resource.systems.sql import SqlDriver
from backwatch.resource.tls import find_ca_file
from backwatch.resource.url import ServiceUrl

CONTROLLED: Final = (
    "sslmode", "sslrootcert", "ssl_min_protocol_version", "require_auth", "gssencmode", "hostaddr", "host", "port",
    "service", "conninfo", "dsn",
)  # fmt: skip
"""Parameters on which the policy decides."""
WEAK_MODES: Final = ("disable", "allow", "prefer")


class PostgreSQL(SqlDriver):
    """Schemes and port."""

    system: ClassVar = "postgresql"
    schemes: ClassVar = ("postgresql", "postgres")
    default_port: ClassVar = 5432

    def locate(self, name: str, url: ServiceUrl) -> ServiceUrl:
        """Return the URL with the hosts that libpq would take from parameters and variables.

        Raises:
            ResourceMisconfigured: They stand in a service file, or the parameters do not fit together.
        """
        query, variables = url.query, os.environ
        if not url.hosts:
            if query.get("service") or variables.get("PGSERVICE"):
                raise ResourceMisconfigured(f"{name}: a service file names the host: write the host into the URL")
            given = [query.get("host"), query.get("hostaddr"), variables.get("PGHOST"), variables.get("PGHOSTADDR")]
            ports = query.get("port") or variables.get("PGPORT") or ""
            url = replace(url, hosts=_join_hosts(name, next((each for each in given if each), ""), ports))
        if variables.get("PGHOSTADDR") and any(host.startswith("/") for host, _ in url.hosts):
            raise ResourceMisconfigured(f"{name}: PGHOSTADDR leads away from the URL's Unix socket: remove it")
        return url


def _join_hosts(name: str, hosts: str, ports: str) -> tuple[tuple[str, int | None], ...]:
    names = hosts.split(",") if hosts else []
    numbers = ports.split(",") * (len(names) if "," not in ports else 1)
    if len(numbers) != len(names) or not all(number.isdecimal() or not number for number in numbers):
        raise ResourceMisconfigured(f"{name}: the URL's host and port do not fit together")
    return tuple((host, int(number) if number else None) for host, number in zip(names, numbers, strict=True))


def libpq_parameters(attachment: Attachment, options: dict[str, Any], libpq_version: int) -> dict[str, Any]:
    """Return the parameters of a safe session.

    Args:
        attachment: URL and policy.
        options: The caller's parameters.
        libpq_version: As ``PQlibVersion`` gives it, 160004. Parameters that an older one does not know are left out.
    """
    policy, url, options = attachment.policy, attachment.url, dict(options)
    places = attachment.check_places()
    own = {"user": url.user, "password": url.password, "dbname": url.path}
    parameters: dict[str, Any] = {
        **url.query, **{name: value for name, value in own.items() if value},
        "host": ",".join(host for host, _ in url.hosts) or None,
        "port": ",".join(str(port) for _, port in url.endpoints(attachment.default_port)) or url.query.get("port"),
    }  # fmt: skip
    if policy.enforced:
        attachment.refuse_option(options, CONTROLLED, "tls")
        refuse_weak_query(attachment)
        parameters.pop("hostaddr", None)
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
            "options": " ".join(
                filter(
                    None,
                    (
                        url.query.get("options") or os.environ.get("PGOPTIONS"),
                        *_session_settings(attachment),
                        options.pop("options", None),
                    ),
                )
            ),
        }
        parameters.pop("require_auth", None)
        if libpq_version >= 160_000:
            parameters |= _auth_parameters(policy.text("auth"), has_password=bool(
                options.get("password") or parameters.get("password") or os.environ.get("PGPASSWORD")
            ))  # fmt: skip
    return {name: value for name, value in {**parameters, **options}.items() if value is not None}


def refuse_weak_query(attachment: Attachment) -> None:
    """Refuse a URL whose own ``sslmode`` would weaken the session."""
    mode = attachment.url.query.get("sslmode", "")
    if mode in WEAK_MODES and attachment.needs_tls:
        attachment.refuse("tls", f"the URL asks for sslmode={mode}", "Leave it out: tls of this resource decides")


def _auth_parameters(wanted: str, *, has_password: bool) -> dict[str, str]:
    """Return what a login must be. A password may also stand in a file of libpq's own."""
    if wanted == "no-clear-text":
        return {"require_auth": "!password,!none" if has_password else "!password"}
    return {"require_auth": "scram-sha-256"} if wanted == "strong" and has_password else {}


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
