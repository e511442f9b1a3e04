"""No name that a server or an app reports gets out of its quotes: neither in a script nor in a comment."""

import json
import re
import shlex

from hypothesis import given
from hypothesis import strategies as st

from backwatch.detector.audit import report
from backwatch.detector.audit.model import Audit, Grant, Seen, SeenCall
from backwatch.detector.audit.mysql_catalogue import Catalogue as MySQLCatalogue
from backwatch.detector.audit.postgresql_catalogue import Catalogue, Function, Relation
from backwatch.detector.audit.quoting import is_plain
from backwatch.detector.audit.seen import SeenCalls
from backwatch.detector.privileges import mongodb, mysql, postgresql, rabbitmq, redis

NAMES = st.one_of(
    st.sampled_from((
        'x"; DROP TABLE users; --', "x'; DROP USER root; --", "x`; DROP DATABASE a; --", "a\n\\! id",
        "a\nGRANT ALL ON x TO y;",
        "$(id)", "'; id #", "\x1b]0;owned\x07", "\u202eabc", "a\u2028b", "UPPER",
        "ünï cödé", "*/ x /*", "U&\"a\"", "\\", '"', "`", "'", "?",
    )),
    st.text(min_size=1, max_size=40),
)  # fmt: skip
DOUBLE = r'(?:"(?:[^"]|"")+"|U&"(?:[^"\\]|""|\\\\|\\[0-9a-f]{4}|\\\+[0-9a-f]{6})+")'
BACK = r"`(?:[^`]|``)+`"


def to_call(statement: str, **facts: str) -> SeenCall:
    found = {"operation": "", "destination": "", "place": "", "namespace": "", **facts}
    return SeenCall(
        "shop", "x", "db", 1, found["namespace"], "shop", found["operation"], statement, found["destination"], "",
        found["place"],
    )  # fmt: skip


def lines_of(found: Audit, calls: dict[SeenCall, Seen], comment: str) -> list[str]:
    """Return the script's lines; every other line of the report has to be a comment on one line."""
    seen = SeenCalls(calls=calls, others={"mallory\n; at": 1})
    lines = list(report.write(found, seen, 30))
    json.dumps(report.to_json(found, seen, 30)).encode()
    assert all(is_plain(line) for line in lines)
    script = [line for line in lines if not line.startswith(comment)]
    assert script == [line.text for line in found.script]
    return script


@given(schema=NAMES, table=NAMES, column=NAMES, place=NAMES, account=st.sampled_from(("shop", 'a"b', "A b")))
def test_a_script_for_postgresql_is_grants_alone(
    schema: str, table: str, column: str, place: str, account: str
) -> None:
    quoted = table.replace('"', '""')
    call = to_call(f'INSERT INTO "{quoted}" ("x") VALUES (?); SELECT "{quoted}"() FROM "{quoted}"', place=place)
    catalogue = Catalogue(server=table, database=schema, roles={1: column, 2: table}, own_role=1)
    catalogue.flags = {column: frozenset(), table: frozenset({"rolsuper"})}
    catalogue.relations = {
        5: Relation(5, schema, table, "r", 2, True, True, True, False),
        6: Relation(6, schema, column, "S", 3, False, False, False, True),
    }
    catalogue.sequences = {5: [(column, 6)]}
    catalogue.settings = {"search_path": f'"{quoted}", {column}'}
    catalogue.functions = [Function(schema, table, False, 3, ((column, table),), frozenset())]
    catalogue.grants = [Grant("SELECT", "table", (schema, table), f"role {column}")]

    found = postgresql.compare(catalogue, {call: Seen(1, 1, 1)}, account)

    for line in lines_of(found, {call: Seen(1, 1, 1)}, "--"):
        assert re.fullmatch(
            rf"CREATE ROLE {DOUBLE} LOGIN;|ALTER ROLE {DOUBLE} SET search_path = {DOUBLE}(?:, {DOUBLE})*;|"
            rf"GRANT [A-Z]+ ON (?:DATABASE|SCHEMA|TABLE|SEQUENCE) {DOUBLE}(?:\.{DOUBLE})? TO {DOUBLE};|"
            rf"GRANT EXECUTE ON FUNCTION {DOUBLE}\.{DOUBLE}\({DOUBLE}\.{DOUBLE}\) TO {DOUBLE};", line,
        ), line  # fmt: skip


@given(schema=NAMES, table=NAMES, place=NAMES)
def test_a_script_for_mysql_is_grants_alone(schema: str, table: str, place: str) -> None:
    quoted = table.replace("`", "``")
    call = to_call(f"INSERT INTO `{quoted}` VALUES (?); CALL `{quoted}`(); LOCK TABLES `{quoted}` WRITE", place=place)
    catalogue = MySQLCatalogue(server=table, user=table, host="%", tables={(schema, table): (schema, table)})
    catalogue.routines = {(schema, table.lower()): ("PROCEDURE", schema, table)}
    catalogue.grants = [Grant("FILE", "server", ("*",), f"role {table}"), Grant("DROP", "table", (schema, table))]
    catalogue.unread_roles = [f"role {table}"]

    found = mysql.compare(catalogue, {call: Seen(1, 1, 1)}, "shop_least", schema)

    for line in lines_of(found, {call: Seen(1, 1, 1)}, "--"):
        assert re.fullmatch(
            rf"CREATE USER {BACK}@{BACK} ACCOUNT LOCK;|"
            rf"GRANT [A-Z ]+ ON (?:PROCEDURE )?{BACK}\.(?:{BACK}|\*) TO {BACK}@{BACK};", line,
        ), line  # fmt: skip


@given(NAMES, NAMES)
def test_a_script_for_rabbitmq_is_one_command_a_line(queue: str, host: str) -> None:
    calls = {
        to_call(f"{operation} {queue} {queue}", operation=operation, destination=queue, namespace=host): Seen(1, 1, 1)
        for operation in ("QUEUE.DECLARE", "PUBLISH", "GET", "QUEUE.BIND")
    }

    found = rabbitmq.compare("3.13", "shop", [queue], [{"vhost": host, "configure": queue}], calls, "shop_least", "/")

    for line in lines_of(found, calls, "#"):
        words = shlex.split(line)
        assert words[0] == "rabbitmqctl"
        assert len(words) == (3 if words[1] == "add_user" else 8)


@given(NAMES, NAMES)
def test_a_script_for_redis_is_one_command_a_line(command: str, key: str) -> None:
    calls = {
        to_call(f"{text} {key}", operation=text): Seen(1, 1, 1) for text in (command, "GET", "PUBLISH", "EVAL", "MULTI")
    }
    rights = redis.Rights(server="7.2", known=dict.fromkeys(("get", "publish", "eval"), frozenset[str]()))
    rights.keys, rights.commands = frozenset({key}), frozenset({"get"})

    found = redis.compare(rights, "shop", calls, "shop_least")

    for line in lines_of(found, calls, "#"):
        words = shlex.split(line)
        assert words[:3] == ["redis-cli", "ACL", "SETUSER"]
        assert len(words) == (7 if words[4] == "reset" else 5)


@given(NAMES, NAMES)
def test_a_script_for_mongodb_holds_names_as_json_alone(collection: str, database: str) -> None:
    calls = {to_call(f"find {collection} filter:?", operation="find", namespace=database): Seen(1, 1, 1)}

    privileges = [{"resource": {"db": database}, "actions": [collection]}]

    found = mongodb.compare("7.0", "shop", [collection], privileges, calls, "shop_least", database)

    for line in lines_of(found, calls, "//"):
        inner = re.fullmatch(r'db\.getSiblingDB\(("(?:[^"\\]|\\.)*")\)\.(\w+)\((.*)\);', line)
        assert inner is not None
        assert json.loads(inner[1]) == database
        if inner[2] == "grantPrivilegesToRole":
            assert json.loads(f"[{inner[3]}]")[1][0]["actions"] == ["find"]
