"""Reads the rights of one account from PostgreSQL's catalogue, with queries of its own and nothing from a span.

The session is read-only, has a time-out for each statement, and searches ``pg_catalog`` alone, so that no function or
operator that another account has planted runs with the auditor's rights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from backwatch.detector.audit.model import AuditUnavailable, Grant, Target, WrongTarget

MAX_ROWS: Final = 50_000
"""Rows of one query that are read; a catalogue with more is refused, because a part of it would prove nothing."""
ROLE_FLAGS: Final = ("rolsuper", "rolcreaterole", "rolbypassrls", "rolreplication", "rolcreatedb")
_SSL_OPTIONS: Final = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "channel_binding", "application_name"})
_USER_SCHEMAS: Final = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_temp_'"

_MEMBERS: Final = f"""
WITH RECURSIVE member (oid) AS (
  SELECT oid FROM pg_roles WHERE rolname = %s
  UNION SELECT a.roleid FROM pg_auth_members a JOIN member m ON a.member = m.oid
) SELECT r.oid, r.rolname, {", ".join(ROLE_FLAGS)}, r.rolname = %s FROM member JOIN pg_roles r USING (oid)
"""
_CONFIG: Final = """
SELECT unnest(setconfig) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
WHERE r.rolname = %s AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
_RELATIONS: Final = f"""
SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relowner, c.relrowsecurity,
  coalesce('security_invoker=true' = ANY(c.reloptions) OR 'security_invoker=on' = ANY(c.reloptions), false),
  EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
          WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND NOT p.prosecdef),
  c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                              AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_USER_SCHEMAS}
"""
_RELATION_GRANTS: Final = f"""
SELECT c.oid, '', a.grantee, a.privilege_type, a.is_grantable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
WHERE a.grantee = ANY(%s) AND {_USER_SCHEMAS}
UNION ALL
SELECT c.oid, t.attname, a.grantee, a.privilege_type, a.is_grantable
FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
  aclexplode(t.attacl) a
WHERE a.grantee = ANY(%s) AND {_USER_SCHEMAS}
"""
_SCHEMAS: Final = f"""
SELECT n.nspname, n.nspowner, a.grantee, a.privilege_type
FROM pg_namespace n LEFT JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
  ON a.grantee = ANY(%s)
WHERE {_USER_SCHEMAS}
"""
_DEFAULTS: Final = """
SELECT d.adrelid, a.attname, p.refobjid
FROM pg_attrdef d
JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass
JOIN pg_class s ON s.oid = p.refobjid AND s.relkind = 'S'
"""
_FUNCTIONS: Final = f"""
SELECT n.nspname, f.proname, f.prokind::text, f.proowner,
  ARRAY(SELECT ARRAY[tn.nspname::text, t.typname::text] FROM unnest(f.proargtypes) WITH ORDINALITY u(type, place)
        JOIN pg_type t ON t.oid = u.type JOIN pg_namespace tn ON tn.oid = t.typnamespace ORDER BY u.place),
  ARRAY(SELECT a.grantee::int8 FROM aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
        WHERE a.privilege_type = 'EXECUTE' AND a.grantee = ANY(%s))
FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace WHERE {_USER_SCHEMAS}
"""
_DATABASE: Final = """
SELECT d.datdba, a.grantee, a.privilege_type
FROM pg_database d LEFT JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a ON a.grantee = ANY(%s)
WHERE d.datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or sequence of a user's schema."""

    oid: int
    schema: str
    name: str
    kind: str
    owner: int
    has_policies: bool
    runs_as_caller: bool
    """A view that reads its tables with the caller's rights."""
    has_triggers: bool
    """Triggers whose function runs with the caller's rights."""
    is_of_column: bool
    """A sequence that a column owns."""

    @property
    def parts(self) -> tuple[str, str]:
        """Schema and name."""
        return self.schema, self.name


@dataclass(frozen=True, slots=True)
class Function:
    """A function or procedure of a user's schema; ``types`` are schema and name of each argument's type."""

    schema: str
    name: str
    is_procedure: bool
    owner: int
    types: tuple[tuple[str, str], ...]
    executors: frozenset[int]


@dataclass(slots=True)
class Catalogue:
    """Everything about the account that the comparison needs. Role 0 is PUBLIC."""

    server: str = ""
    database: str = ""
    session_account: str = ""
    roles: dict[int, str] = field(default_factory=dict[int, str])
    own_role: int = 0
    flags: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Attributes of each role, by its name."""
    settings: dict[str, str] = field(default_factory=dict[str, str])
    relations: dict[int, Relation] = field(default_factory=dict[int, Relation])
    grants: list[Grant] = field(default_factory=list[Grant])
    grantable: list[Grant] = field(default_factory=list[Grant])
    public_schemas: set[str] = field(default_factory=set[str])
    """Schemas that every account may use."""
    public_database: set[str] = field(default_factory=set[str])
    owned_schemas: list[str] = field(default_factory=list[str])
    owns_database: bool = False
    sequences: dict[int, list[tuple[str, int]]] = field(default_factory=dict[int, list[tuple[str, int]]])
    """By table: columns whose default takes a number from a sequence."""
    functions: list[Function] = field(default_factory=list[Function])

    @property
    def account(self) -> str:
        """The audited role's name."""
        return self.roles[self.own_role]

    def source(self, role: int) -> str:
        """Return where a grant to this role comes from."""
        return "PUBLIC" if not role else "itself" if role == self.own_role else f"role {self.roles.get(role, role)}"


def read_catalogue(target: Target) -> Catalogue:
    """Read the catalogue.

    Raises:
        AuditUnavailable: The server cannot be reached, refuses the login, or returns more than is read.
        WrongTarget: An option of the URL is not known, or the account does not exist.
    """
    import psycopg

    unknown = sorted(set(target.options) - _SSL_OPTIONS)
    if unknown:
        raise WrongTarget(f"URL: the option {unknown[0][:40]!r} is not known; known: {', '.join(sorted(_SSL_OPTIONS))}")
    limit_ms = int(target.timeout_s * 1000)
    verified = target.options.get("sslmode") in ("verify-ca", "verify-full")
    login = {} if verified or psycopg.pq.version() < 160_000 else {"require_auth": "!password"}  # not in clear text
    options = (
        f"-c search_path=pg_catalog -c default_transaction_read_only=on -c statement_timeout={limit_ms} "
        f"-c lock_timeout={limit_ms}"
    )
    try:
        with psycopg.connect(
            host=target.host, port=target.port, user=target.user, password=target.password or None,
            dbname=target.namespace or target.user, connect_timeout=max(2, int(target.timeout_s)), options=options,
            tcp_user_timeout=limit_ms, **login, **target.options,  # pyright: ignore[reportArgumentType]  libpq's own parameters
        ) as connection:  # fmt: skip
            return _read(connection, target.account)
    except psycopg.Error as error:
        text = str(error).replace(target.password, "***") if target.password else str(error)
        reason = text.strip().splitlines()[0] if text.strip() else type(error).__name__
        raise AuditUnavailable(f"URL {target.shown}: {reason}") from None


def _read(connection: Any, account: str) -> Catalogue:
    cursor = connection.cursor()

    def rows(query: str, *values: object) -> Sequence[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for row in cursor.stream(query, values or None):  # a hostile server may send rows for ever
            found.append(row)
            if len(found) > MAX_ROWS:
                raise AuditUnavailable(
                    f"more than {MAX_ROWS} rows of the catalogue for one query; nothing was compared"
                )
        return found

    found = Catalogue()
    found.server, found.database, found.session_account = rows(
        "SELECT current_setting('server_version'), current_database(), session_user"
    )[0]
    account = account or found.session_account
    for oid, name, *flags, is_own in rows(_MEMBERS, account, account):
        found.roles[oid] = name
        found.flags[name] = frozenset(flag for flag, value in zip(ROLE_FLAGS, flags, strict=True) if value)
        if is_own:
            found.own_role = oid
    if not found.own_role:
        raise WrongTarget(f"--account: the server knows no account {account[:63]!r}")
    for (line,) in rows(_CONFIG, account):
        name, _, value = str(line).partition("=")
        found.settings[name] = value
    for row in rows(_RELATIONS):
        found.relations[row[0]] = Relation(*row)
    grantees = [0, *found.roles]
    _read_grants(found, rows(_RELATION_GRANTS, grantees, grantees))
    _read_containers(found, rows(_SCHEMAS, grantees), rows(_DATABASE, grantees))
    for table, column, sequence in rows(_DEFAULTS):
        found.sequences.setdefault(table, []).append((column, sequence))
    for schema, name, kind, owner, types, executors in rows(_FUNCTIONS, grantees):
        pairs = tuple((str(pair[0]), str(pair[1])) for pair in types)
        found.functions.append(Function(schema, name, kind == "p", owner, pairs, frozenset(executors)))
    return found


def _read_grants(found: Catalogue, rows: Sequence[tuple[Any, ...]]) -> None:
    for oid, column, role, privilege, is_grantable in rows:
        relation = found.relations.get(oid)
        if relation is None or (role and role == relation.owner):
            continue  # an owner has every right without a grant
        kind = "sequence" if relation.kind == "S" else "column" if column else "table"
        name = (*relation.parts, column) if column else relation.parts
        grant = Grant(privilege, kind, name, found.source(role))
        found.grants.append(grant)
        if is_grantable:
            found.grantable.append(grant)


def _read_containers(found: Catalogue, schemas: Sequence[tuple[Any, ...]], database: Sequence[tuple[Any, ...]]) -> None:
    owned: set[str] = set()
    for schema, owner, role, privilege in schemas:
        if owner in found.roles:
            owned.add(schema)
        elif role == 0 and privilege == "USAGE":
            found.public_schemas.add(schema)
        elif role is not None:
            found.grants.append(Grant(privilege, "schema", (schema,), found.source(role)))
    found.owned_schemas = sorted(owned)
    for owner, role, privilege in database:
        found.owns_database = owner in found.roles
        if role == 0:
            found.public_database.add(privilege)
        elif role is not None and owner not in found.roles:
            found.grants.append(Grant(privilege, "database", (found.database,), found.source(role)))
