"""RabbitMQ: an account's permissions by virtual host against the queues and exchanges that its app used."""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from backwatch.detector.audit.http_json import get_json
from backwatch.detector.audit.model import (
    Audit,
    Calls,
    Grant,
    Power,
    PowerLevel,
    ScriptLine,
    SeenCall,
    Target,
    WrongTarget,
)
from backwatch.detector.audit.quoting import UnsafeName, escape_line, quote_shell
from backwatch.detector.privileges import Auditor, sort_proofs, translate_malformed

MAX_HOSTS: Final = 1_000
KINDS: Final = ("configure", "write", "read")
DEFAULT_EXCHANGE: Final = "amq.default"
"""The name by which permissions know the exchange without a name."""
GENERATED: Final = "amq.gen-?"
_OPTIONS: Final = frozenset({"management_port", "ca_file"})
_TAGS: Final[dict[str, tuple[PowerLevel, str]]] = {
    "administrator": ("critical", "creates accounts, reads every queue, and changes every virtual host"),
    "policymaker": ("high", "redirects messages by policies"),
    "monitoring": ("medium", "sees every connection, queue and node"),
    "management": ("low", "uses the management API"),
}
_CONFIGURES: Final = frozenset({"QUEUE.DECLARE", "QUEUE.DELETE", "EXCHANGE.DECLARE", "EXCHANGE.DELETE"})
_READS: Final = frozenset({"CONSUME", "GET", "QUEUE.PURGE"})
_BINDS: Final = frozenset({"QUEUE.BIND", "QUEUE.UNBIND", "EXCHANGE.BIND", "EXCHANGE.UNBIND"})

Needs = dict[tuple[str, str, str], set[SeenCall]]
"""By virtual host, kind and redacted name."""


class RabbitMQ(Auditor):
    """RabbitMQ 3.8 and newer; rights are read by its management API."""

    schemes = ("amqp", "amqps")
    systems = ("rabbitmq",)
    port = 5672
    language = "a shell's, with rabbitmqctl"
    example = "amqp://admin@mq.example.com:5672/shop?management_port=15672"

    def audit(self, target: Target, seen: Calls, new_account: str) -> Audit:
        """Read the account's permissions and compare them."""
        unknown = sorted(set(target.options) - _OPTIONS)
        if unknown:
            raise WrongTarget(f"URL: the option {unknown[0][:40]!r} is not known; known: {', '.join(sorted(_OPTIONS))}")
        account = target.account or "guest"
        with translate_malformed(target):
            version, tags, permissions = _read(target, account)
        return compare(version, account, tags, permissions, seen, new_account, target.namespace or "/")


def compare(
    version: str, account: str, tags: Sequence[str], permissions: Sequence[Mapping[str, Any]], seen: Calls,
    new_account: str, host: str,
) -> Audit:  # fmt: skip
    """Compare what the permissions allow with what the calls needed; ``host`` where they name none."""
    found = Audit(system="rabbitmq", account=account, server=version, comment="#")
    needs: Needs = {}
    for call in seen:
        _add_needs(needs, call, host)
    found.powers = sorted(Power(*_TAGS[tag][:1], f"tag {tag}", _TAGS[tag][1]) for tag in tags if tag in _TAGS)
    found.unused = sorted(_list_unused(permissions, needs))
    found.script = _write_script(needs, seen, new_account, found.notes)
    return found


def _read(target: Target, account: str) -> tuple[str, list[str], list[Mapping[str, Any]]]:
    uses_tls = target.scheme == "amqps"
    port = target.options.get("management_port", "15671" if uses_tls else "15672")
    if not port.isdigit() or not 0 < int(port) < 65_536:
        raise WrongTarget(f"URL: management_port={port[:20]!r} is no port")

    def get(path: str) -> Any:
        return get_json(target, int(port), path, uses_tls=uses_tls, ca_file=target.options.get("ca_file", ""))

    name = quote(account, safe="")
    user = get(f"/api/users/{name}")
    if not isinstance(user, dict):
        raise WrongTarget(f"--account: the broker knows no user {account[:63]!r}")
    listed: Any = user.get("tags") or []
    tags = listed.split(",") if isinstance(listed, str) else [str(tag) for tag in listed]
    permissions: Any = get(f"/api/users/{name}/permissions") or []
    overview: Any = get("/api/overview") or {}
    version = str(overview.get("rabbitmq_version", ""))[:60] if isinstance(overview, dict) else ""
    rows: list[Mapping[str, Any]] = []
    for row in permissions[:MAX_HOSTS] if isinstance(permissions, list) else []:
        rows += [row] if isinstance(row, dict) else []
    return version, [tag.strip() for tag in tags], rows


def _add_needs(needs: Needs, call: SeenCall, host: str) -> None:
    host = call.namespace or host
    operation, name = call.operation, call.destination

    def put(kind: str, name: str) -> None:
        if name and not name.startswith("amq.rabbitmq.reply-to"):
            needs.setdefault((host, kind, name), set()).add(call)

    if operation in _CONFIGURES:
        put("configure", name or GENERATED)
    elif operation in _READS:
        put("read", name)
    elif operation == "PUBLISH":
        put("write", DEFAULT_EXCHANGE if call.statement.startswith("PUBLISH /") else name)
    elif operation in _BINDS:
        put("write", name)
        put("read", call.statement.removeprefix(f"{operation} {name} ").split(" ")[0])


def _list_unused(permissions: Iterable[Mapping[str, Any]], needs: Needs) -> Iterable[Grant]:
    hosts = {host for host, _, _ in needs}
    for row in permissions:
        host = str(row.get("vhost", ""))
        for kind in KINDS:
            pattern = str(row.get(kind, ""))
            if pattern in ("", "^$"):
                continue
            needed = any((each, of) == (host, kind) for each, of, _ in needs)
            if not needed:
                yield Grant(kind, "vhost" if host not in hosts else "pattern", (host, pattern))
            elif _matches_anything(pattern):
                yield Grant(f"{kind} everything", "pattern", (host, pattern))


def _matches_anything(pattern: str) -> bool:
    """Return whether a permission matches a name that nothing has; in linear time, since the broker sends it."""
    import re2

    try:
        return re2.search(pattern, f"backwatch-{secrets.token_hex(8)}") is not None
    except re2.error:
        return False


def to_pattern(name: str) -> str:
    """Return the expression for a redacted name, in which ``?`` and ``…`` stand for a value.

    >>> to_pattern("orders.eu"), to_pattern("amq.gen-?")
    ('orders\\\\.eu', 'amq\\\\.gen\\\\-.+')
    """
    return re.sub(r"(?:\\\?|…)+", ".+", re.escape(name).replace("\\…", "…"))


def _write_script(needs: Needs, seen: Calls, new_account: str, notes: list[str]) -> list[ScriptLine]:
    if not seen:
        return []
    account = quote_shell(new_account)
    notes.append("rabbitmqctl add_user reads the new account's password from its input")
    notes.append(
        "a passive declaration is not distinguished: if the app declares nothing, its configure names are spare"
    )
    notes.append(
        "a queue with a dead-letter exchange needs read on the queue and write on that exchange when it is declared"
    )
    lines = [ScriptLine(f"rabbitmqctl add_user {account}")]
    for host in sorted({host for host, _, _ in needs}):
        patterns: list[str] = []
        calls: set[SeenCall] = set()
        for kind in KINDS:
            names = sorted(name for each, of, name in needs if (each, of) == (host, kind))
            calls |= set[SeenCall]().union(*(needs[host, kind, name] for name in names))
            patterns.append(f"^(?:{'|'.join(map(to_pattern, names))})$" if names else "^$")
        try:
            quoted = " ".join(map(quote_shell, patterns))
            line = f"rabbitmqctl set_permissions -p {quote_shell(host)} {account} {quoted}"
        except UnsafeName as error:
            notes.append(f"a name cannot be written safely, so its host is missing: {escape_line(str(error))}")
            continue
        lines.append(ScriptLine(line, sort_proofs(seen, calls)))
    return lines
