"""MongoDB: an account's privileges against the collections and actions that its app used."""

import re
from collections.abc import Iterable, Mapping, Sequence
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
from backwatch.detector.audit.quoting import escape_line, quote_json
from backwatch.detector.privileges import Auditor, import_driver, sort_proofs, translate_malformed

MAX_PRIVILEGES: Final = 10_000
MAX_LISTED: Final = 40
"""Actions of one resource that are listed."""
_OPTIONS: Final = frozenset({"tls", "tlsCAFile", "tlsCertificateKeyFile", "authSource", "authMechanism"})
_ACTIONS: Final[dict[str, tuple[str, ...]]] = {
    "find": ("find",), "count": ("find",), "distinct": ("find",), "aggregate": ("find",), "getMore": ("find",),
    "insert": ("insert",), "delete": ("remove",), "update": ("update",), "findAndModify": ("find", "update"),
    "findandmodify": ("find", "update"), "create": ("createCollection",), "createIndexes": ("createIndex",),
    "drop": ("dropCollection",), "dropIndexes": ("dropIndex",), "deleteIndexes": ("dropIndex",),
    "listIndexes": ("listIndexes",), "collStats": ("collStats",), "collMod": ("collMod",),
    "validate": ("validate",), "killCursors": (),
}  # fmt: skip
_DATABASE_ACTIONS: Final[dict[str, str]] = {
    "listCollections": "listCollections", "dbStats": "dbStats", "dbstats": "dbStats", "dropDatabase": "dropDatabase",
}  # fmt: skip
_FREE: Final = frozenset(
    {"connect", "ping", "hello", "isMaster", "ismaster", "buildInfo", "connectionStatus", "endSessions", "killCursors",
     "abortTransaction", "commitTransaction", "getLastError", "logout", "refreshSessions", "startSession"}
)  # fmt: skip
"""Commands that need no privilege."""
_ADMINISTRATION: Final = frozenset(
    {"createUser", "createRole", "updateUser", "updateRole", "dropUser", "dropRole", "grantRolesToUser",
     "grantRolesToRole", "grantPrivilegesToRole", "shutdown", "setParameter", "eval", "applyOps", "replSetReconfig"}
)  # fmt: skip
_POWERS: Final[dict[str, tuple[PowerLevel, str]]] = {
    "anyAction": ("critical", "does everything"),
    "grantRole": ("critical", "gives itself any role"),
    "createUser": ("high", "creates accounts that outlive the app's password"),
    "createRole": ("high", "creates roles with any right"),
    "changePassword": ("high", "takes over other accounts"),
    "shutdown": ("high", "stops the server"),
    "dropDatabase": ("high", "drops whole databases"),
    "applyOps": ("high", "writes past every other right"),
    "setParameter": ("high", "changes the server's settings"),
    "replSetConfigure": ("high", "adds a member that receives all data"),
    "bypassDocumentValidation": ("low", "writes documents that the schema forbids"),
}
_MERGED: Final = re.compile(r"\$(?:out|merge|lookup|graphLookup|unionWith)\b")
_COLLECTION: Final = re.compile(r"[^\s?…]{1,120}")

Key = tuple[str, str, str]
"""Action, database, and collection; the collection is empty for the whole database."""


class MongoDB(Auditor):
    """MongoDB 4.4 and newer, and what speaks its protocol."""

    schemes = ("mongodb",)
    systems = ("mongodb",)
    port = 27017
    language = "JavaScript, for mongosh"
    example = "mongodb://shop@db.example.com:27017/shop?tls=true"

    def audit(self, target: Target, seen: Calls, new_account: str) -> Audit:
        """Read the account's privileges and compare them; the URL's path is the database of the account."""
        database = target.namespace or "admin"
        driver = import_driver("pymongo", "pymongo")
        with translate_malformed(target):
            version, account, roles, privileges = _read(driver, target, database)
        return compare(version, account, roles, privileges, seen, new_account, database)


def compare(
    version: str, account: str, roles: Sequence[str], privileges: Sequence[Mapping[str, Any]], seen: Calls,
    new_account: str, database: str,
) -> Audit:  # fmt: skip
    """Compare what the privileges allow with what the calls needed, in ``database`` where they name none."""
    found = Audit(system="mongodb", account=account, server=version, comment="//")
    needs: dict[Key, set[SeenCall]] = {}
    for call in seen:
        for key in _derive_needs(call, database, found.notes):
            needs.setdefault(key, set()).add(call)
    found.powers = sorted(set(_list_powers(account, roles, privileges)))
    found.unused = sorted(set(list_unused(privileges, needs)))
    found.script = _write_script(needs, seen, new_account, database)
    found.notes = sorted(set(found.notes))
    return found


def _read(driver: Any, target: Target, database: str) -> tuple[str, str, list[str], list[Mapping[str, Any]]]:
    unknown = sorted(set(target.options) - _OPTIONS)
    if unknown:
        raise WrongTarget(f"URL: the option {unknown[0][:40]!r} is not known; known: {', '.join(sorted(_OPTIONS))}")
    limit_ms = int(target.timeout_s * 1000)
    login = {"username": target.user, "password": target.password} if target.user else {}
    source = {"authSource": database} if target.user and "authSource" not in target.options else {}
    options: dict[str, Any] = {**target.options, **login, **source}
    options |= {"tls": options["tls"] == "true"} if "tls" in options else {}
    try:
        with driver.MongoClient(
            host=target.host, port=target.port, directConnection=True, serverSelectionTimeoutMS=limit_ms,
            connectTimeoutMS=limit_ms, socketTimeoutMS=limit_ms, timeoutMS=limit_ms, **options,
        ) as client:  # fmt: skip
            version = str(client["admin"].command("buildInfo").get("version", ""))[:60]
            if target.account and target.account != target.user:
                return version, target.account, *_read_other(client, target.account, database)
            status = client["admin"].command("connectionStatus", showPrivileges=True)
    except (driver.errors.PyMongoError, OSError) as error:
        reason = str(error).replace(target.password, "***") if target.password else str(error)
        raise AuditUnavailable(f"URL {target.shown}: {reason}") from None
    found = _to_mapping(status.get("authInfo"))
    users = _to_list(found.get("authenticatedUsers"))
    name = str(_to_mapping(users[0]).get("user", "")) if users else ""
    roles = _role_names(found.get("authenticatedUserRoles"))
    return version, name, roles, _privileges(found.get("authenticatedUserPrivileges"))


def _read_other(client: Any, account: str, database: str) -> tuple[list[str], list[Mapping[str, Any]]]:
    reply = client[database].command("usersInfo", {"user": account, "db": database}, showPrivileges=True)
    users = _to_list(reply.get("users"))
    if not users:
        raise WrongTarget(f"--account: database {database[:63]!r} knows no user {account[:63]!r}")
    user = _to_mapping(users[0])
    return _role_names(user.get("inheritedRoles") or user.get("roles")), _privileges(user.get("inheritedPrivileges"))


def _to_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _to_list(value: Any) -> list[Any]:
    return value[:MAX_PRIVILEGES] if isinstance(value, list) else []


def _role_names(value: Any) -> list[str]:
    return [str(_to_mapping(role).get("role", ""))[:120] for role in _to_list(value)]


def _privileges(value: Any) -> list[Mapping[str, Any]]:
    return [_to_mapping(privilege) for privilege in _to_list(value)]


def _derive_needs(call: SeenCall, database: str, notes: list[str]) -> Iterable[Key]:
    database, operation = call.namespace or database, call.operation
    words = call.statement.split(" ", 2)
    collection = words[1] if len(words) > 1 else ""
    if operation in _ADMINISTRATION:
        notes.append(f"administers the server, which no app needs; not in the script: {escape_line(operation)}")
    elif operation in _DATABASE_ACTIONS:
        yield _DATABASE_ACTIONS[operation], database, ""
    elif operation in _ACTIONS:
        if not _COLLECTION.fullmatch(collection):
            notes.append(f"the collection is not recorded, so nothing was derived: {escape_line(call.statement)}")
            return
        actions = set(_ACTIONS[operation])
        if "upsert:" in call.statement:
            notes.append(f"whether it upserts is not recorded; if so, grant insert: {escape_line(call.statement)}")
        if operation.lower() == "findandmodify" and "remove:" in call.statement:
            actions = {"find", "remove"}
        yield from ((action, database, collection) for action in actions)
        if _MERGED.search(call.statement):
            notes.append(f"names another collection in a stage; grant it yourself: {escape_line(call.statement)}")
    elif operation not in _FREE:
        notes.append(f"not understood, so nothing was derived from it: {escape_line(call.statement or operation)}")


def _list_powers(account: str, roles: Iterable[str], privileges: Iterable[Mapping[str, Any]]) -> Iterable[Power]:
    if not account:
        yield Power("critical", "no login", "access control is off: everybody who reaches the server may do everything")
    for role in roles:
        if role in ("root", "__system", "dbOwner") or role.endswith(("AnyDatabase", "Admin", "Manager")):
            level: PowerLevel = "critical" if role in ("root", "__system") else "high"
            yield Power(level, f"role {role}", "administers more than an app's data")
    for privilege in privileges:
        resource = _to_mapping(privilege.get("resource"))
        for action in map(str, _to_list(privilege.get("actions"))):
            if action in _POWERS:
                level, why = _POWERS[action]
                yield Power(level, f"{action} on {_show(resource)}", why)


def _show(resource: Mapping[str, Any]) -> str:
    if resource.get("anyResource") or resource.get("cluster"):
        return "the cluster"
    return f"{resource.get('db') or 'every database'}.{resource.get('collection') or '*'}"


def list_unused(privileges: Iterable[Mapping[str, Any]], needs: Iterable[Key]) -> Iterable[Grant]:
    """Yield the actions of these privileges that no call needed."""
    needs = list(needs)
    for privilege in privileges:
        resource = _to_mapping(privilege.get("resource"))
        database, collection = str(resource.get("db", "")), str(resource.get("collection", ""))
        if resource.get("cluster") or collection.startswith("system."):
            continue
        used = {
            action for action, db, name in needs
            if database in ("", db) and (not collection or collection == name)
        }  # fmt: skip
        actions = sorted(map(str, _to_list(privilege.get("actions"))))
        for action in [action for action in actions if action not in used][:MAX_LISTED]:
            yield Grant(action, "collection", (database or "*", collection or "*"))


def _write_script(needs: dict[Key, set[SeenCall]], seen: Calls, new_account: str, database: str) -> list[ScriptLine]:
    if not needs:
        return []
    home = f"db.getSiblingDB({quote_json(database)})"
    name = quote_json(new_account)
    lines = [ScriptLine(f"{home}.createRole({{role: {name}, privileges: [], roles: []}});")]
    for action, db, collection in sorted(needs, key=lambda key: (key[1:], key[0])):
        privilege = quote_json({"resource": {"db": db, "collection": collection}, "actions": [action]})
        proofs = sort_proofs(seen, needs[action, db, collection])
        lines.append(ScriptLine(f"{home}.grantPrivilegesToRole({name}, [{privilege}]);", proofs))
    user = f"{{user: {name}, pwd: passwordPrompt(), roles: [{name}]}}"
    return [*lines, ScriptLine(f"{home}.createUser({user});")]
