"""Kafka: a principal's ACLs against the topics that its app wrote to and read from."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from backwatch.detector.audit.model import (
    Audit,
    AuditUnavailable,
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
from backwatch.detector.privileges import Auditor, import_driver, sort_proofs, translate_malformed

MAX_ACLS: Final = 20_000
_OPTIONS: Final = frozenset({"security_protocol", "sasl_mechanism", "ca_file"})
_WRITES: Final = frozenset({"send", "publish", "produce", "send_batch"})
_READS: Final = frozenset({"poll", "consume", "receive", "getmany", "getone"})
_ON_TOPICS: Final = {
    "create_topics": "CREATE",
    "delete_topics": "DELETE",
    "delete_records": "DELETE",
    "create_partitions": "ALTER",
    "describe_topics": "DESCRIBE",
}
_ADMINISTRATION: Final = frozenset(
    {"create_acls", "delete_acls", "alter_configs", "incremental_alter_configs", "alter_user_scram_credentials",
     "delete_consumer_groups", "delete_groups", "alter_partition_reassignments", "elect_leaders"}
)  # fmt: skip
_POWERS: Final[dict[str, tuple[PowerLevel, str]]] = {
    "ALL": ("critical", "does everything"),
    "ALTER": ("critical", "changes ACLs and gives itself any right"),
    "ALTER_CONFIGS": ("high", "changes the brokers' settings"),
    "CLUSTER_ACTION": ("high", "acts as a broker"),
    "CREATE": ("medium", "creates topics"),
    "DESCRIBE_CONFIGS": ("low", "reads the brokers' settings"),
}
_FLAGS: Final = {"topic": "--topic", "group": "--group"}

Key = tuple[str, str, str, str]
"""Operation, kind of resource, name, and ``literal`` or ``prefixed``."""


class Kafka(Auditor):
    """Apache Kafka and what speaks its protocol, with ACLs of its own kind."""

    schemes = ("kafka",)
    systems = ("kafka",)
    port = 9092
    language = "a shell's, with kafka-acls"
    example = "kafka://shop@broker.example.com:9093?security_protocol=SASL_SSL&ca_file=ca.pem"

    def audit(self, target: Target, seen: Calls, new_account: str) -> Audit:
        """Read the principal's ACLs and compare them."""
        account = target.account or "ANONYMOUS"
        driver = import_driver("kafka.admin", "kafka-python")
        with translate_malformed(target):
            held, powers, groups = _read(driver, target, account)
        found = Audit(system="kafka", account=f"User:{account}", server=target.shown, comment="#")
        needs: dict[Key, set[SeenCall]] = {}
        for call in seen:
            for key in _derive_needs(call, groups, found.notes):
                needs.setdefault(key, set()).add(call)
        found.powers = sorted(powers)
        found.unused = sorted(_list_unused(held, needs))
        found.script = _write_script(needs, seen, target, new_account, found.notes)
        found.notes = sorted(set(found.notes))
        return found


def _read(driver: Any, target: Target, account: str) -> tuple[list[Grant], set[Power], list[tuple[str, str]]]:
    """Return the grants, the powers, and the names of groups that the principal may read."""
    import kafka.errors

    errors: Any = kafka.errors
    limit_ms = int(target.timeout_s * 1000)
    try:
        client = driver.KafkaAdminClient(request_timeout_ms=limit_ms, **_connection(target))
        with contextlib.closing(client):
            every = driver.ResourcePatternFilter(driver.ResourceType.ANY, None, driver.ACLResourcePatternType.ANY)
            acls: list[Any] = []
            for principal in (f"User:{account}", "User:*"):
                listed, error = client.describe_acls(
                    driver.ACLFilter(principal, None, driver.ACLOperation.ANY, driver.ACLPermissionType.ANY, every)
                )
                if error is errors.SecurityDisabledError:
                    return [], {Power("critical", "no authorizer", "every account may do everything")}, []
                if error is not errors.NoError:
                    raise AuditUnavailable(f"URL {target.shown}: {error.__name__}")
                acls += listed[:MAX_ACLS]
    except errors.ClusterAuthorizationFailedError:
        raise AuditUnavailable(
            f"URL {target.shown}: reading ACLs needs Describe on the cluster: pass an administrator's URL, and the "
            "app's account by --account"
        ) from None
    except (errors.KafkaError, OSError, ValueError) as error:
        reason = str(error).replace(target.password, "***") if target.password else str(error)
        raise AuditUnavailable(f"URL {target.shown}: {reason or type(error).__name__}") from None
    return _sort(acls)


def _connection(target: Target) -> Mapping[str, Any]:
    unknown = sorted(set(target.options) - _OPTIONS)
    if unknown:
        raise WrongTarget(f"URL: the option {unknown[0][:40]!r} is not known; known: {', '.join(sorted(_OPTIONS))}")
    protocol = target.options.get("security_protocol", "SASL_SSL" if target.user else "PLAINTEXT")
    if protocol not in ("PLAINTEXT", "SSL", "SASL_SSL", "SASL_PLAINTEXT"):
        raise WrongTarget(
            f"URL: security_protocol={protocol[:40]!r} is none of PLAINTEXT, SSL, SASL_SSL, SASL_PLAINTEXT"
        )
    found: dict[str, Any] = {"bootstrap_servers": f"{target.host}:{target.port}", "security_protocol": protocol}
    if protocol.startswith("SASL"):
        found |= {"sasl_mechanism": target.options.get("sasl_mechanism", "SCRAM-SHA-256"),
                  "sasl_plain_username": target.user, "sasl_plain_password": target.password}  # fmt: skip
    if "ca_file" in target.options:
        found["ssl_cafile"] = target.options["ca_file"]
    return found


def _sort(acls: Iterable[Any]) -> tuple[list[Grant], set[Power], list[tuple[str, str]]]:
    held: list[Grant] = []
    powers: set[Power] = set()
    groups: set[tuple[str, str]] = set()
    for acl in acls:
        if acl.permission_type.name != "ALLOW":
            continue
        pattern = acl.resource_pattern
        kind, operation, name = pattern.resource_type.name.lower(), acl.operation.name, str(pattern.resource_name)[:255]
        source = "itself" if str(acl.principal) != "User:*" else "every principal"
        if kind == "cluster":
            level, why = _POWERS.get(operation, ("low", "acts on the whole cluster"))
            powers.add(Power(level, f"{operation} on the cluster", why, source))
            continue
        if operation == "ALL":
            powers.add(
                Power("high", f"ALL on {kind} {escape_line(name)}", "deletes it and changes its settings", source)
            )
        form = pattern.pattern_type.name.lower()
        held.append(Grant(operation, kind, (name, form), source))
        if kind == "group" and operation in ("READ", "ALL"):
            groups.add((name, form))
    return held, powers, sorted(groups)


def _derive_needs(call: SeenCall, groups: list[tuple[str, str]], notes: list[str]) -> Iterable[Key]:
    operation = call.operation
    named = call.statement.removeprefix(operation).strip()
    names = [name for name in named.split(",") if name] or ([call.destination] if call.destination else [])
    if "…" in names:
        notes.append(f"more topics than are recorded: {escape_line(call.statement)}")
    if operation in _ADMINISTRATION:
        notes.append(f"administers the cluster, which no app needs; not in the script: {escape_line(call.statement)}")
    needed = "WRITE" if operation in _WRITES else "READ" if operation in _READS else _ON_TOPICS.get(operation, "")
    for name in names if needed else ():
        if name != "…":
            yield (needed, "topic", *_to_pattern(name))
    if operation in ("poll", "commit", "getmany", "getone"):
        if operation == "commit" or not groups:
            notes.append("names of consumer groups are not recorded: those that are granted today are kept, else all")
        yield from (("READ", "group", *group) for group in groups or [("*", "literal")])
    if operation in _WRITES:
        notes.append("transactional ids are not recorded: grant Write on them if the app uses transactions")


def _to_pattern(name: str) -> tuple[str, str]:
    """Return name and kind of pattern; the part behind a redacted value is left out.

    >>> _to_pattern("orders"), _to_pattern("user-?-events"), _to_pattern("?")
    (('orders', 'literal'), ('user-', 'prefixed'), ('*', 'literal'))
    """
    prefix, redacted, _ = name.partition("?")
    return ("*", "literal") if not prefix else (prefix, "prefixed" if redacted else "literal")


def _list_unused(held: Iterable[Grant], needs: Iterable[Key]) -> Iterable[Grant]:
    needs = list(needs)
    for grant in held:
        if not any(_covers(grant, key) for key in needs):
            yield grant
        elif grant.name[0] == "*" and not any(key[1] == grant.kind and key[2] == "*" for key in needs):
            yield Grant(f"{grant.privilege} everything", grant.kind, grant.name, grant.source)


def _covers(grant: Grant, key: Key) -> bool:
    operation, kind, name, _ = key
    granted, form = grant.name
    if grant.kind != kind or grant.privilege not in (operation, "ALL"):
        return grant.kind == kind and grant.privilege == "DESCRIBE" and granted in ("*", name)
    return granted in ("*", name) or name == "*" or (form == "prefixed" and name.startswith(granted))


def _write_script(
    needs: dict[Key, set[SeenCall]], seen: Calls, target: Target, new_account: str, notes: list[str]
) -> list[ScriptLine]:
    principal = quote_shell(f"User:{new_account}")
    server = quote_shell(f"{target.host}:{target.port}")
    head = f"kafka-acls --bootstrap-server {server} --add --allow-principal {principal}"
    lines: list[ScriptLine] = []
    everything = {(operation, kind) for operation, kind, name, _ in needs if name == "*"}
    for operation, kind, name, form in sorted(needs, key=lambda key: (key[1], key[2], key[0])):
        if (operation, kind) in everything and name != "*":
            continue
        try:
            resource = f"{_FLAGS[kind]} {quote_shell(name)}"
        except UnsafeName as error:
            notes.append(f"a name cannot be written safely, so its grant is missing: {escape_line(str(error))}")
            continue
        pattern = " --resource-pattern-type prefixed" if form == "prefixed" else ""
        verb = "".join(word.capitalize() for word in operation.split("_"))
        line = f"{head} --operation {verb} {resource}{pattern}"
        lines.append(ScriptLine(line, sort_proofs(seen, needs[operation, kind, name, form])))
    return lines
