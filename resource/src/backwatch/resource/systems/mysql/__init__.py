"""MySQL and MariaDB. What their client libraries have in common: judging logins, and settings of a session."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from backwatch.resource.checks import FALSE, TRUE
from backwatch.resource.opening import TLS_FIX, Attachment
from backwatch.resource.systems.sql import SqlDriver

PROOFS: Final = ("caching_sha2_password", "client_ed25519", "parsec")
"""Plugins that prove the password and keep it."""
WEAK_PROOFS: Final = ("mysql_native_password",)
"""Plugins whose proof, by SHA-1, is cheap to guess."""
REVEALING: Final = ("mysql_clear_password", "dialog", "sha256_password", "mysql_old_password")
"""Plugins that send the password itself, or a proof that is as good as it."""
FULL_LOGIN: Final = b"\x01\x04"
"""Message of caching_sha2_password: the server wants the password itself."""
NO_CONNECTION: Final = 2003
UNKNOWN_VARIABLE: Final = 1193
TLS_OPTIONS: Final = (
    "ssl", "ssl_ca", "ssl_verify_cert", "ssl_verify_identity", "ssl_disabled", "ssl_mode", "tls_versions",
)  # fmt: skip
CONTROLLED: Final = (*TLS_OPTIONS, "host", "port")
CERTIFICATE_OPTIONS: Final = ("ssl_cert", "ssl_key", "ssl_key_password")
LOGIN_OPTIONS: Final = ("auth_plugin", "auth_plugin_map", "auth_plugin_class")
FILE_OPTIONS: Final = ("local_infile", "allow_local_infile", "allow_local_infile_in_path", "local_infile_dir")
AUTH_FIX: Final = (
    "Give the account caching_sha2_password (MariaDB: ed25519) on the server, or set auth if this login is meant"
)


class MySQL(SqlDriver):
    """Schemes and port."""

    system: ClassVar = "mysql"
    schemes: ClassVar = ("mysql", "mariadb")
    default_port: ClassVar = 3306


def judge_plugin(attachment: Attachment, plugin: str, announced: str = "") -> None:
    """Refuse a login plugin that the policy does not allow.

    Args:
        attachment: Of the resource.
        plugin: What the server asks for.
        announced: What its greeting named before; empty if this is the greeting.
    """
    wanted = attachment.policy.text("auth")
    if wanted == "any" or not attachment.url.password:
        return
    if plugin in REVEALING:
        attachment.refuse("auth", f"the server asks for the password by {plugin}", AUTH_FIX)
    elif plugin in WEAK_PROOFS and (wanted == "strong" or announced in PROOFS):
        step = f", after it announced {announced}" if announced else ""
        attachment.refuse("auth", f"the server asks for a proof by {plugin}{step}", AUTH_FIX)
    elif wanted == "strong" and plugin not in PROOFS:
        attachment.refuse("auth", f"the server asks for a login by {plugin or 'an old plugin'}", AUTH_FIX)


def read_version(announced: str) -> str:
    """Return a server's version. MariaDB puts 5.5.5- before its own one, for old clients.

    >>> read_version("5.5.5-10.11.6-MariaDB"), read_version("8.4.3")
    ('10.11.6-MariaDB', '8.4.3')
    """
    return announced.removeprefix("5.5.5-")


def judge_full_login(attachment: Attachment, *, encrypted: bool) -> None:
    """Refuse to send the password itself, which caching_sha2_password wants after a restart of the server."""
    wanted = attachment.policy.text("auth")
    if wanted == "strong":
        attachment.refuse(
            "auth", "the server asks for the whole password",
            "Log the account in once from the server's own machine, or set auth = 'no-clear-text'",
        )  # fmt: skip
    elif wanted != "any" and not encrypted and not attachment.own_machine:
        attachment.refuse("auth", "the server asks for the password outside TLS", TLS_FIX)


def refuse_plaintext(attachment: Attachment) -> None:
    """Refuse a server whose greeting offers no TLS."""
    if attachment.needs_tls:
        attachment.refuse("tls", "the server offers no TLS", TLS_FIX)


def refuse_file_request(attachment: Attachment) -> None:
    """Refuse a reply that asks for a file of the app's machine."""
    attachment.refuse(
        "local_infile", "the server asks for a file of this machine",
        "Treat the server as hostile; set local_infile if the app's own LOAD DATA LOCAL is meant",
    )  # fmt: skip


def refuse_rows(attachment: Attachment) -> None:
    """Refuse a result of more rows than allowed."""
    attachment.refuse(
        "max_rows", f"a result has more than {attachment.policy.count('max_rows')} rows",
        "Ask for less at a time, or raise max_rows if results of this size are meant",
    )  # fmt: skip


def refuse_options(attachment: Attachment, options: dict[str, Any]) -> None:
    """Refuse options of the caller and of the URL on which the policy decides."""
    attachment.refuse_option(options, CONTROLLED, "tls")
    attachment.refuse_option(options, LOGIN_OPTIONS, "auth")
    attachment.refuse_option(options, FILE_OPTIONS, "local_infile")
    query = attachment.url.query
    weak = query.get("ssl_disabled", "").lower() in TRUE or query.get("ssl_mode", "").lower() in (
        "disabled", "preferred",
    )  # fmt: skip
    weak = weak or query.get("ssl_verify_cert", "").lower() in FALSE
    if weak and attachment.needs_tls:
        attachment.refuse("tls", "the URL turns TLS or its verification off", "Leave it out: tls decides")


def common_parameters(attachment: Attachment) -> dict[str, Any]:
    """Return the parameters that all of these libraries name alike, the URL's own first."""
    policy, url = attachment.policy, attachment.url
    query = url.query
    if policy.enforced:
        query = {
            name: value for name, value in query.items() if name not in (*CONTROLLED, *LOGIN_OPTIONS, *FILE_OPTIONS)
        }
    parameters: dict[str, Any] = {
        "host": url.host or None, "port": url.port(attachment.default_port), "user": url.user,
        "password": url.password, "database": url.path or None, **_convert(query),
    }  # fmt: skip
    if policy.enforced and attachment.needs_tls and parameters.get("unix_socket") and not url.hosts:
        attachment.refuse("tls", "a Unix socket has no TLS", "Set tls_on_loopback = 'optional', or name a host")
    return {name: value for name, value in parameters.items() if value is not None}


def _convert(query: Mapping[str, str]) -> dict[str, Any]:
    converted: dict[str, Any] = {}
    for name, value in query.items():
        if value.isascii() and value.isdigit():
            converted[name] = int(value)
        elif value.lower() in ("true", "false"):
            converted[name] = value.lower() == "true"
        else:
            converted[name] = value
    return converted


def time_limit_statement(attachment: Attachment, *, mariadb: bool) -> str:
    """Return the statement that bounds the time of the session's statements."""
    seconds = attachment.policy.seconds("statement_timeout_s")
    if mariadb:
        return f"SET SESSION max_statement_time={seconds:g}"
    return f"SET SESSION max_execution_time={max(1, round(seconds * 1000))}"


READ_ONLY: Final = "SET SESSION TRANSACTION READ ONLY"
