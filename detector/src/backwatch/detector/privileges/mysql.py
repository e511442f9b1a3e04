"""MySQL and MariaDB: an account's grants, with those of its roles, and the objects that its app used."""

from collections.abc import Iterable, Sequence
from typing import Final

from backwatch.detector.audit.model import Audit, Calls, Grant, Power, PowerLevel, ScriptLine, SeenCall, Target
from backwatch.detector.audit.mysql_catalogue import Catalogue, quote_account, read_catalogue
from backwatch.detector.audit.quoting import UnsafeName, escape_line, quote_mysql, quote_mysql_pattern
from backwatch.detector.audit.sql_needs import SqlNeed, derive_needs
from backwatch.detector.privileges import Auditor, import_driver, sort_proofs, translate_malformed

_POWERS: Final[dict[str, tuple[PowerLevel, str]]] = {
    "ALL PRIVILEGES": ("critical", "no right is checked: reads every database and writes files"),
    "ALL": ("critical", "no right is checked: reads every database and writes files"),
    "SUPER": ("critical", "changes every setting, ends every session"),
    "FILE": ("critical", "reads and writes files on the server's machine"),
    "CREATE USER": ("high", "creates accounts that outlive the app's password"),
    "SYSTEM_USER": ("high", "changes administrators' accounts"),
    "ROLE_ADMIN": ("high", "grants itself any role"),
    "SYSTEM_VARIABLES_ADMIN": ("high", "changes the server's settings"),
    "REPLICATION SLAVE": ("high", "copies every change as a replica does"),
    "SELECT": ("high", "reads every database, password hashes too"),
    "INSERT": ("high", "writes to every database, to the accounts' tables too"),
    "UPDATE": ("high", "writes to every database, to the accounts' tables too"),
    "DELETE": ("high", "deletes from every database"),
    "DROP": ("high", "drops every database"),
    "SHUTDOWN": ("high", "stops the server"),
    "PROCESS": ("medium", "reads the statements of other accounts"),
    "RELOAD": ("medium", "flushes logs and privileges"),
    "SHOW DATABASES": ("low", "lists every database"),
    "REPLICATION CLIENT": ("low", "reads the state of replication"),
    "BINLOG MONITOR": ("low", "reads the state of replication"),
}
_DDL: Final = frozenset({"ALTER", "CREATE", "CREATE ROUTINE", "CREATE VIEW", "DROP", "EVENT", "INDEX", "TRIGGER"})
_SYSTEM: Final = frozenset({"information_schema", "performance_schema", "sys", "mysql"})

Key = tuple[str, str, tuple[str, ...]]


class MySQL(Auditor):
    """MySQL 5.7 and newer, MariaDB 10.4 and newer."""

    schemes = ("mysql", "mariadb")
    systems = ("mysql", "mariadb")
    port = 3306
    language = "SQL, for the client mysql or mariadb"
    example = "mysql://shop@db.example.com:3306/shop"

    def audit(self, target: Target, seen: Calls, new_account: str) -> Audit:
        """Read the account's rights and compare them."""
        driver = import_driver("pymysql", "pymysql")
        with translate_malformed(target):
            catalogue = read_catalogue(driver, target)
        return compare(catalogue, seen, new_account, target.namespace)


def compare(catalogue: Catalogue, seen: Calls, new_account: str, database: str) -> Audit:
    """Compare what the catalogue grants with what the calls needed, in ``database`` where they name none."""
    system = "mariadb" if catalogue.is_mariadb else "mysql"
    account = f"{catalogue.user}@{catalogue.host}"
    found = Audit(system=system, account=account, server=catalogue.server, comment="--")
    needs = _Needs(catalogue, database)
    for call in seen:
        needs.add(call)
    found.powers = sorted(_list_powers(catalogue))
    found.unused = sorted(
        grant for grant in catalogue.grants if grant.kind != "server" and _is_unused(grant, needs.proofs, catalogue)
    )
    found.script = _write_script(needs, seen, quote_account(new_account, catalogue.host), found.notes)
    found.notes += sorted(needs.notes)
    found.notes += [f"the grants of {role} could not be read by this account" for role in catalogue.unread_roles]
    return found


def _is_unused(grant: Grant, needed: dict[Key, set[SeenCall]], catalogue: Catalogue) -> bool:
    if grant.kind == "column":
        return (grant.privilege, "table", grant.name[:2]) not in needed
    if grant.kind == "database":
        return not any(
            privilege == grant.privilege and _is_in(catalogue.fold(name[0]), catalogue.fold(grant.name[0]))
            for privilege, _, name in needed
        )
    return grant.key not in needed


def _is_in(name: str, pattern: str) -> bool:
    """Return whether a database's name is one of a pattern with ``%`` at its end, or the name itself."""
    return name == pattern or (pattern.endswith("%") and name.startswith(pattern[:-1]))


def _list_powers(catalogue: Catalogue) -> Iterable[Power]:
    ddl: dict[tuple[str, str], set[str]] = {}
    for grant in catalogue.grants:
        if grant.kind == "server":
            level, why = _POWERS.get(grant.privilege, ("medium", "holds for every database"))
            yield Power(level, f"{grant.privilege} on *.*", why, grant.source)
        elif grant.name[0] in _SYSTEM and grant.name[0] != "information_schema":
            yield Power("critical", grant.shown, "reads or changes accounts and their password hashes", grant.source)
        elif grant.privilege in _DDL:
            ddl.setdefault((".".join(grant.name), grant.source), set()).add(grant.privilege)
    for (name, source), privileges in ddl.items():
        why = "changes tables and code of the database; an account for migrations should"
        yield Power("medium", f"{', '.join(sorted(privileges))} on {escape_line(name)}", why, source)
    if catalogue.with_option:
        names = sorted({".".join(grant.name) for grant in catalogue.with_option})
        level: PowerLevel = "high" if "*" in names else "medium"
        shown = escape_line(", ".join(names[:3]))
        yield Power(level, f"GRANT OPTION on {shown}", "passes its rights on to other accounts")


class _Needs:
    """The rights that the calls need, by right and object, with the calls that prove each."""

    def __init__(self, catalogue: Catalogue, database: str) -> None:
        self.catalogue = catalogue
        self.proofs: dict[Key, set[SeenCall]] = {}
        self.notes: set[str] = set()
        self._database = database

    def add(self, call: SeenCall) -> None:
        """Add what one call needs."""
        database = call.namespace or self._database
        for need in derive_needs(call.statement, mysql=True):
            if need.kind == "table":
                self._add_table(need, database, call)
            elif need.kind == "function":
                self._add_routine(need, database, call)
            elif need.kind == "temporary":
                self._put("CREATE TEMPORARY TABLES", "database", (database,), call)
            else:
                self._add_note(need, call)

    def _put(self, privilege: str, kind: str, name: tuple[str, ...], call: SeenCall) -> None:
        self.proofs.setdefault((privilege, kind, name), set()).add(call)

    def _add_table(self, need: SqlNeed, database: str, call: SeenCall) -> None:
        if not need.name:
            return
        *above, last = need.name
        schema = above[-1] if above else database
        shown = escape_line(f"{schema}.{last}")
        if schema.lower() in _SYSTEM:
            if schema.lower() == "mysql":
                self.notes.add(f"table {shown} holds accounts or settings, which no app needs; not in the script")
            return
        fold = self.catalogue.fold
        table = self.catalogue.tables.get((fold(schema), fold(last)))
        if table is None:
            if last.lower() != "dual":
                self.notes.add(
                    f"table {shown} does not exist, or this account may not see it: temporary, or dropped since"
                )
            return
        for privilege in self._privileges(need.privilege):
            kind, name = ("database", table[:1]) if privilege == "LOCK TABLES" else ("table", table)
            self._put(privilege, kind, name, call)
        if table in self.catalogue.invoker_views:
            self.notes.add(f"view {shown} reads its tables with the caller's rights: grant SELECT on them, too")

    def _privileges(self, privilege: str) -> Sequence[str]:
        if privilege == "TRUNCATE":
            return ("DROP",)
        if privilege == "LOCK":
            return ("LOCK TABLES", "SELECT")
        if privilege == "LOCK ROWS":
            return () if self.catalogue.is_mariadb else ("UPDATE",)
        return (privilege,)

    def _add_routine(self, need: SqlNeed, database: str, call: SeenCall) -> None:
        schema = need.name[-2] if len(need.name) > 1 else database
        found = self.catalogue.routines.get((self.catalogue.fold(schema), need.name[-1].lower())) if need.name else None
        if found is not None:
            self._put("EXECUTE", found[0].lower(), found[1:], call)

    def _add_note(self, need: SqlNeed, call: SeenCall) -> None:
        shown = escape_line(call.statement[:120])
        if need.kind == "owner":
            self.notes.add(f"changes tables: run it under an account for migrations, not under the app's: {shown}")
        elif need.kind == "rights":
            self.notes.add(f"changes accounts or rights, which no app needs; not in the script: {shown}")
        elif need.kind == "file":
            self.notes.add(f"needs FILE, or sends files of the app's machine; not in the script: {shown}")
        elif need.kind == "role":
            self.notes.add(f"takes another role; grant it yourself if it is meant: {shown}")
        else:
            self.notes.add(f"not understood, so nothing was derived from it: {shown}")


def _write_script(needs: _Needs, seen: Calls, account: str, notes: list[str]) -> list[ScriptLine]:
    if not seen:
        return []
    notes.append("the new account is locked: ALTER USER … IDENTIFIED BY …, then ALTER USER … ACCOUNT UNLOCK")
    lines = [ScriptLine(f"CREATE USER {account} ACCOUNT LOCK;")]
    for privilege, kind, name in sorted(needs.proofs, key=lambda key: (key[1], key[2], key[0])):
        try:
            on = f"{quote_mysql_pattern(name[0])}.*" if kind == "database" else ".".join(map(quote_mysql, name))
        except UnsafeName as error:
            notes.append(f"a name cannot be written safely, so its grant is missing: {escape_line(str(error))}")
            continue
        word = "" if kind in ("database", "table") else f"{kind.upper()} "
        proofs = sort_proofs(seen, needs.proofs[privilege, kind, name])
        lines.append(ScriptLine(f"GRANT {privilege} ON {word}{on} TO {account};", proofs))
    return lines
