"""PostgreSQL: a role's attributes, memberships and grants, and the objects that its app used."""

from collections.abc import Iterable, Sequence
from typing import Final

from backwatch.detector.audit.model import Audit, Calls, Grant, Power, ScriptLine, SeenCall, Target
from backwatch.detector.audit.postgresql_catalogue import Catalogue, Function, Relation, read_catalogue
from backwatch.detector.audit.quoting import UnsafeName, escape_line, quote_postgresql
from backwatch.detector.audit.sql_needs import SqlNeed, derive_needs
from backwatch.detector.audit.sql_tokens import tokenize
from backwatch.detector.privileges import Auditor, sort_proofs, translate_malformed

_FLAGS: Final = {
    "rolsuper": Power("critical", "SUPERUSER", "no right is checked: reads every database and runs programs there"),
    "rolcreaterole": Power("high", "CREATEROLE", "creates accounts that outlive the app's password"),
    "rolbypassrls": Power("high", "BYPASSRLS", "reads rows that row-level security hides"),
    "rolreplication": Power("high", "REPLICATION", "copies the whole cluster as a replica does"),
    "rolcreatedb": Power("medium", "CREATEDB", "creates databases, and owns them"),
}
_ROLES: Final[dict[str, tuple[str, str]]] = {
    "pg_execute_server_program": ("critical", "runs programs on the server's machine"),
    "pg_write_server_files": ("critical", "writes files on the server's machine"),
    "pg_read_server_files": ("critical", "reads files on the server's machine"),
    "pg_read_all_data": ("high", "reads every table"),
    "pg_write_all_data": ("high", "changes every table"),
    "pg_create_subscription": ("high", "sends data to another server"),
    "pg_monitor": ("low", "reads the statements of other accounts"),
    "pg_read_all_stats": ("low", "reads the statements of other accounts"),
    "pg_read_all_settings": ("low", "reads every setting"),
    "pg_signal_backend": ("medium", "ends other accounts' sessions"),
    "pg_maintain": ("medium", "locks any table for maintenance"),
    "pg_checkpoint": ("low", "forces checkpoints"),
    "rds_superuser": ("critical", "administers the managed server"),
    "cloudsqlsuperuser": ("critical", "administers the managed server"),
    "azure_pg_admin": ("critical", "administers the managed server"),
}
_SEQUENCE_FUNCTIONS: Final = frozenset({"nextval", "currval", "setval", "lastval"})
_AS: Final = {"LOCK": "UPDATE", "LOCK ROWS": "UPDATE"}
"""Rights that stand for what a statement does beside reading."""

Key = tuple[str, str, tuple[str, ...]]


class PostgreSQL(Auditor):
    """PostgreSQL 12 and newer."""

    schemes = ("postgresql", "postgres")
    systems = ("postgresql",)
    port = 5432
    language = "SQL, for psql"
    example = "postgresql://shop@db.example.com:5432/shop"

    def audit(self, target: Target, seen: Calls, new_account: str) -> Audit:
        """Read the role's rights in the URL's database and compare them."""
        with translate_malformed(target):
            catalogue = read_catalogue(target)
        return compare(catalogue, seen, new_account)


def compare(catalogue: Catalogue, seen: Calls, new_account: str) -> Audit:
    """Compare what the catalogue grants with what the calls needed."""
    found = Audit(system="postgresql", account=catalogue.account, server=catalogue.server, comment="--")
    needs = _Needs(catalogue, found.account)
    for call in seen:
        needs.add(call)
    found.powers = sorted(_list_powers(catalogue))
    if "rolsuper" not in catalogue.flags[found.account]:
        found.unused = sorted(grant for grant in catalogue.grants if _is_unused(grant, needs.proofs))
    found.script = _write_script(needs, catalogue, seen, new_account, found.notes)
    found.notes += sorted(needs.notes)
    return found


def _is_unused(grant: Grant, needed: dict[Key, set[SeenCall]]) -> bool:
    if grant.kind == "column":
        return (grant.privilege, "table", grant.name[:2]) not in needed
    if grant.kind == "database" and grant.privilege == "CONNECT":
        return False
    if grant.kind == "schema" and grant.privilege == "USAGE":
        return not any(name[0] == grant.name[0] for _, kind, name in needed if kind != "database")
    if grant.kind == "sequence" and grant.privilege == "SELECT":
        return True
    return grant.key not in needed


def _list_powers(catalogue: Catalogue) -> Iterable[Power]:
    for oid, name in catalogue.roles.items():
        source = catalogue.source(oid)
        for flag in catalogue.flags[name]:
            power = _FLAGS[flag]
            yield Power(power.level, power.name, power.why, source)
        known = _ROLES.get(name)
        if known is not None:
            yield Power(known[0], f"member of {name}", known[1])  # pyright: ignore[reportArgumentType]  a level
    owned = [relation for relation in catalogue.relations.values() if relation.owner in catalogue.roles]
    if owned:
        names = sorted(".".join(relation.parts) for relation in owned)
        shown = escape_line(", ".join(names[:3] + ["…"] * (len(names) > 3)))
        yield Power(
            "medium", f"owner of {len(owned)} tables and sequences: {shown}",
            "drops and alters them, and grants rights on them; an account for migrations should own them",
        )  # fmt: skip
    if catalogue.owned_schemas:
        yield Power(
            "medium", f"owner of schema {escape_line(', '.join(catalogue.owned_schemas))}", "drops it with all tables"
        )
    if catalogue.owns_database:
        yield Power("medium", "owner of the database", "drops it, and grants rights on it")
    if catalogue.grantable:
        shown = escape_line(", ".join(grant.shown for grant in catalogue.grantable[:3]))
        yield Power("low", f"grant option: {shown}", "passes its rights on to other accounts")


class _Needs:
    """The rights that the calls need, by right and object, with the calls that prove each."""

    def __init__(self, catalogue: Catalogue, account: str) -> None:
        self.catalogue = catalogue
        self.proofs: dict[Key, set[SeenCall]] = {}
        self.functions: dict[Function, set[SeenCall]] = {}
        self.notes: set[str] = set()
        self.search_path = _search_path(catalogue, account)
        self.needs_search_path = "search_path" in catalogue.settings
        self._account = account
        self._by_name: dict[str, list[Relation]] = {}
        for relation in catalogue.relations.values():
            self._by_name.setdefault(relation.name, []).append(relation)
        self._functions: dict[str, list[Function]] = {}
        for function in catalogue.functions:
            self._functions.setdefault(function.name, []).append(function)

    def add(self, call: SeenCall) -> None:
        """Add what one call needs."""
        for need in derive_needs(call.statement):
            if need.kind == "table":
                self._add_table(need, call)
            elif need.kind == "function":
                self._add_function(need, call)
            else:
                self._add_other(need, call)

    def _put(self, privilege: str, kind: str, name: tuple[str, ...], call: SeenCall) -> None:
        self.proofs.setdefault((privilege, kind, name), set()).add(call)

    def _add_table(self, need: SqlNeed, call: SeenCall) -> None:
        relation = self._resolve(need.name)
        if relation is None:
            return
        privilege = _AS.get(need.privilege, need.privilege)
        if relation.kind == "S":
            self._put("SELECT", "sequence", relation.parts, call)
            return
        self._put(privilege, "table", relation.parts, call)
        if privilege == "INSERT":
            for column, sequence in self.catalogue.sequences.get(relation.oid, ()):
                numbered = self.catalogue.relations.get(sequence)
                if numbered is None:
                    continue
                if need.columns is None or column not in need.columns:
                    self._put("USAGE", "sequence", numbered.parts, call)
                else:
                    shown = escape_line(f"{column}: if it passes DEFAULT, grant USAGE on {'.'.join(numbered.parts)}")
                    self.notes.add(f"an INSERT gives a value to column {shown}")
        name = escape_line(".".join(relation.parts))
        if relation.has_policies:
            self.notes.add(f"table {name} has row-level security: check whether its policies name the account")
        if relation.has_triggers and privilege != "SELECT":
            self.notes.add(f"table {name} has triggers that run with the caller's rights: grant what they need, too")
        if relation.runs_as_caller:
            self.notes.add(f"view {name} reads its tables with the caller's rights: grant SELECT on them, too")

    def _resolve(self, name: tuple[str, ...]) -> Relation | None:
        if len(name) == 0:
            return None
        last = name[-1]
        named = self._by_name.get(last, [])
        if len(name) > 1:
            found = [relation for relation in named if relation.schema == name[-2]]
        else:
            found = (
                sorted(
                    (relation for relation in named if relation.schema in self.search_path),
                    key=lambda relation: self.search_path.index(relation.schema),
                )[:1]
                or named
            )
            self.needs_search_path |= bool(found) and found[0].schema == self._account
        if len(found) == 1:
            return found[0]
        system = len(name) > 1 and name[-2] in ("pg_catalog", "information_schema")
        shown = escape_line(".".join(name))
        if found:
            self.notes.add(
                f"table {shown} is in several schemas, none in the search path: grant the right one yourself"
            )
        elif not system and not last.startswith("pg_"):
            self.notes.add(f"table {shown} does not exist in this database: temporary, or dropped since")
        return None

    def _add_function(self, need: SqlNeed, call: SeenCall) -> None:
        name = need.name[-1] if need.name else ""
        if name in _SEQUENCE_FUNCTIONS:
            for relation in self.catalogue.relations.values():
                if relation.kind == "S" and not relation.is_of_column:
                    self._put("UPDATE" if name == "setval" else "USAGE", "sequence", relation.parts, call)
            self.notes.add(
                f"{name}() was called, and no literal is recorded: its right is granted on every free sequence"
            )
        for function in self._functions.get(name, ()):
            if len(need.name) > 1 and function.schema != need.name[-2]:
                continue
            self._put("USES", "function", (function.schema, function.name), call)
            if 0 not in function.executors:
                self.functions.setdefault(function, set()).add(call)

    def _add_other(self, need: SqlNeed, call: SeenCall) -> None:
        shown = escape_line(call.statement[:120])
        if need.kind == "temporary":
            self._put("TEMPORARY", "database", (self.catalogue.database,), call)
        elif need.kind == "owner":
            self.notes.add(f"needs an owner: run it under an account for migrations, not under the app's: {shown}")
        elif need.kind == "rights":
            self.notes.add(f"changes accounts or rights, which no app needs; not in the script: {shown}")
        elif need.kind in ("file", "program"):
            self.notes.add(f"reads or writes files or runs programs on the server; not in the script: {shown}")
        elif need.kind == "role":
            self.notes.add(f"takes another role; grant membership yourself if it is meant: {shown}")
        else:
            self.notes.add(f"not understood, so nothing was derived from it: {shown}")


def _search_path(catalogue: Catalogue, account: str) -> list[str]:
    tokens = tokenize(catalogue.settings.get("search_path", '"$user", public'), mysql=False)
    names = [token.text if token.kind == "quoted" else token.text.lower() for token in tokens if token.is_name]
    return [account if name == "$user" else name for name in names]


def _write_script(
    needs: _Needs, catalogue: Catalogue, seen: Calls, new_account: str, notes: list[str]
) -> list[ScriptLine]:
    account = quote_postgresql(new_account)
    lines = [ScriptLine(f"CREATE ROLE {account} LOGIN;")]
    if not seen:
        return []
    logins = [call for call in seen if call.operation == "connect"] or list(seen)
    if "CONNECT" not in catalogue.public_database:
        proofs = sort_proofs(seen, logins)
        lines += [
            ScriptLine(f"GRANT CONNECT ON DATABASE {name} TO {account};", proofs)
            for name in _quote_all([catalogue.database], notes)
        ]
    path = ", ".join(_quote_all([name for name in needs.search_path if name], notes)) if needs.needs_search_path else ""
    if path:
        lines.append(ScriptLine(f"ALTER ROLE {account} SET search_path = {path};"))
    by_schema: dict[str, set[SeenCall]] = {}
    for (_, kind, name), calls in needs.proofs.items():
        if kind != "database":
            by_schema.setdefault(name[0], set()).update(calls)
    wanted: list[tuple[str, set[SeenCall]]] = []
    for schema in sorted(by_schema):
        if schema not in catalogue.public_schemas:
            wanted += [
                (f"GRANT USAGE ON SCHEMA {name} TO {account};", by_schema[schema])
                for name in _quote_all([schema], notes)
            ]
    for privilege, kind, name in sorted(needs.proofs, key=lambda key: (key[1], key[2], key[0])):
        if kind == "function" or (kind == "database" and privilege in catalogue.public_database):
            continue
        quoted = _quote_all(name, notes)
        if len(quoted) == len(name):
            on = f"{kind.upper()} {'.'.join(quoted)}"
            wanted.append((f"GRANT {privilege} ON {on} TO {account};", needs.proofs[privilege, kind, name]))
    for function in sorted(needs.functions, key=lambda function: (function.schema, function.name, function.types)):
        parts = (function.schema, function.name, *(part for pair in function.types for part in pair))
        quoted = _quote_all(parts, notes)
        if len(quoted) == len(parts):
            types = ", ".join(f"{schema}.{name}" for schema, name in zip(quoted[2::2], quoted[3::2], strict=True))
            kind = "PROCEDURE" if function.is_procedure else "FUNCTION"
            on = f"{kind} {quoted[0]}.{quoted[1]}({types})"
            wanted.append((f"GRANT EXECUTE ON {on} TO {account};", needs.functions[function]))
    return lines + [ScriptLine(text, sort_proofs(seen, calls)) for text, calls in wanted]


def _quote_all(names: Sequence[str], notes: list[str]) -> list[str]:
    """Return these names quoted; one that cannot be quoted is left out, with a note."""
    found: list[str] = []
    for name in names:
        try:
            found.append(quote_postgresql(name))
        except UnsafeName:
            notes.append(f"a name cannot be written safely, so its grant is missing: {escape_line(name)}")
    return found
