"""The way of an entry into the stream: through the functions that its probe calls, then the pipeline."""

import json
import shlex
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.probes.botocore.services import destination, namespace_of, span_kind
from backwatch.collector.probes.families.amqp.requests import to_publication, to_request
from backwatch.collector.probes.families.http.session import redirect_target
from backwatch.collector.probes.families.redis import statements as redis_statements
from backwatch.collector.probes.families.search.observer import Operation
from backwatch.collector.probes.kombu.messages import with_task
from backwatch.collector.probes.toolkit.sockets import root_error
from backwatch.collector.redaction import aws, clickhouse, cql, dsn, errors, http, ldap, lines, memcached, mongo, smtp
from backwatch.collector.runtime.record import AttributeValue, Session
from tests.leaks.corpus import MARK, Planted, document

Facts = tuple[tuple[str, AttributeValue], ...]


class Teller:
    """Record one entry after the other into a pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.calls = 0

    def record_call(
        self,
        system: str,
        operation: str = "",
        *,
        sql: object = None,
        statement: str = "",
        facts: Facts = (),
        error: BaseException | None = None,
        namespace: str = "",
    ) -> None:
        """Record one call on a separate session."""
        self._pipeline.record_call(
            Session(system=system, address="db", namespace=namespace), operation, start_ns=time.time_ns(), sql=sql,
            statement=statement, facts=facts, error=error,
        )  # fmt: skip
        self.calls += 1

    def tell(self, planted: Planted) -> None:
        """Record the entry as its system's probe would."""
        entry = planted.entry
        _WAYS[entry.way if entry.way in _WAYS else f"{entry.system} {entry.way}"](self, planted)


def _sql(teller: Teller, planted: Planted) -> None:
    text, system = planted.text, planted.entry.system
    if system == "cassandra":
        teller.record_call(system, sql=cql.hide_literals(text))
        teller.record_call(system, sql=cql.hide_literals(cql.to_batch_statement([text, text])))
    elif system == "clickhouse":
        teller.record_call(system, sql=clickhouse.strip_data(text))
        teller.record_call(system, sql=clickhouse.strip_data(text.encode()))
    else:
        teller.record_call("microsoft.sql_server" if system == "mssql" else system, sql=text)
        teller.record_call("other_sql" if system == "other" else system, sql=text.encode())


def words_of(planted: Planted) -> list[str]:
    """Split an entry's words as a shell would, each canary in one piece."""
    canaries = iter(planted.canaries)
    quoted = planted.entry.text.replace("\\", "\\\\")
    words = shlex.split(MARK.sub("\x00", quoted))
    return ["".join(next(canaries).text if one == "\x00" else one for one in word) for word in words]


def _redis(teller: Teller, planted: Planted) -> None:
    command = words_of(planted)
    raw = [word.encode() for word in command]
    name = redis_statements.name_of(command)
    operation, statement = redis_statements.describe_command(name, command)
    teller.record_call("redis", operation, statement=statement)
    teller.record_call(
        "redis",
        redis_statements.operation_of(redis_statements.name_of(raw), raw),
        statement=redis_statements.describe_command(name, raw)[1],
    )
    operation, statement = redis_statements.describe_pipeline((command, raw, ["GET", "a"]))
    teller.record_call("redis", operation, statement=statement)


def _memcached(teller: Teller, planted: Planted) -> None:
    operation, statement = memcached.redact_line(planted.text.encode())
    teller.record_call("memcached", operation, statement=statement)
    name, *rest = planted.text.split(" ")
    teller.record_call("memcached", name, statement=memcached.to_statement(name, rest[:1]))


def _mongo(teller: Teller, planted: Planted) -> None:
    command = document(planted.text)
    teller.record_call("mongodb", mongo.get_command_name(command), statement=mongo.to_statement(command))


def _search(teller: Teller, planted: Planted) -> None:
    method, target, *rest = planted.text.split(" ", 2)
    body: Any = document(rest[0]) if rest else None
    if isinstance(body, str) and "\n" in body:
        bodies = [body, body.encode(), [document(one) for one in body.splitlines() if one]]
    else:
        bodies = [body, json.dumps(body).encode() if rest else None]
    for one in bodies:
        asked = Operation(None, method, target, None, one, "")
        teller.record_call("elasticsearch", asked.name, statement=asked.statement(), sql=asked.sql())


def _url(teller: Teller, planted: Planted) -> None:
    teller.record_call("http", "GET", statement=http.to_statement("GET", planted.text))
    facts: Facts = (
        (names.URL_FULL, http.redact_url(planted.text)),
        (names.HTTP_ROUTE, http.to_path_template(planted.text)),
    )
    teller.record_call("http", "GET", facts=facts)
    target = redirect_target("http://a/b", planted.text)
    teller.record_call("http", "GET", facts=((names.REDIRECT_TARGET, target),))


def _aws(teller: Teller, planted: Planted) -> None:
    service, operation, rest = planted.text.split(" ", 2)
    parameters: Any = document(rest)
    assert isinstance(parameters, Mapping), planted.text
    sql = aws.SQL.get((service, operation))
    where, facts = namespace_of(service, parameters, "eu-west-1"), destination(service, parameters)
    assert span_kind(service, operation)
    if sql is not None:
        teller.record_call("aws-api", sql=parameters.get(sql), facts=facts, namespace=where)
    teller.record_call(
        "aws-api", operation, statement=aws.to_statement(service, operation, parameters), namespace=where
    )


def _smtp(teller: Teller, planted: Planted) -> None:
    """Report only senders and recipients of mail; other commands are ignored."""
    address = planted.text.partition(":<")[2].partition(">")[0]
    teller.record_call("smtp", "SEND", statement=smtp.to_statement([address, f"Ann <{address}>"]))


def _lines(read: Callable[[str], tuple[str, str]]) -> Callable[[Teller, Planted], None]:
    def tell(teller: Teller, planted: Planted) -> None:
        operation, statement = read(planted.text)
        teller.record_call(planted.entry.system, operation, statement=statement)

    return tell


def _imap(teller: Teller, planted: Planted) -> None:
    name, *rest = planted.text.split(" ", 2)
    operation, statement = lines.redact_imap(name, rest)
    teller.record_call("imap", operation, statement=statement)


def _ldap_filter(teller: Teller, planted: Planted) -> None:
    teller.record_call("ldap", "search", statement=ldap.to_filter_shape(planted.text))


def _ldap_dn(teller: Teller, planted: Planted) -> None:
    teller.record_call("ldap", "bind", statement=ldap.redact_dn(planted.text))


class _Fields:
    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


def _amqp(teller: Teller, planted: Planted) -> None:
    exchange, key, rest = planted.text.split(" ", 2)
    message: Any = document(rest)
    exchange = exchange.strip('"')
    headers = message.get("headers")
    asked = [to_publication(exchange, key, 1, 0), to_request("Queue.Declare", _Fields(queue=key), 1, 0),
             to_request("Queue.Bind", _Fields(queue=key, exchange=exchange, routing_key=key), 1, 0)]  # fmt: skip
    for one in asked:
        facts: Facts = ((names.MESSAGING_DESTINATION, one.destination),) if one.destination else ()
        teller.record_call("rabbitmq", one.operation, statement=with_task(one.statement, headers), facts=facts)


def _error(teller: Teller, planted: Planted) -> None:
    kind, _, text = planted.text.partition(" ")
    made = type(kind, (Exception,), {})
    plain: BaseException = made(text)
    caused = RuntimeError(f"wrapped: {text}")
    caused.__cause__ = plain
    argument: Any = document(text)
    for error in (plain, caused, made(argument), made(1062, text), type(kind, (OSError,), {})(text, 5)):
        facts = (("x.type", errors.get_error_type(error)), ("x.code", errors.get_error_code(error)),
                 ("x.text", errors.redact_error(str(error))))  # fmt: skip
        teller.record_call(planted.entry.system, "SELECT", error=root_error(error), facts=facts)


def _dsn(teller: Teller, planted: Planted) -> None:
    teller.record_call("postgresql", "connect", facts=((names.REDIRECT_TARGET, dsn.redact_dsn(planted.text)),))


_WAYS: Final[Mapping[str, Callable[[Teller, Planted], None]]] = {
    "sql": _sql, "error": _error, "dsn": _dsn, "filter": _ldap_filter, "dn": _ldap_dn, "redis command": _redis,
    "memcached command": _memcached, "mongodb command": _mongo, "elasticsearch request": _search, "http url": _url,
    "aws request": _aws, "smtp command": _smtp, "imap command": _imap, "pop3 command": _lines(lines.redact_pop3),
    "ftp command": _lines(lines.redact_ftp), "amqp message": _amqp,
}  # fmt: skip
ELSEWHERE: Final = frozenset({"http header", "http response", "grpc metadata"})
"""No function of its own reports this: a probe must wrap the driver (see ``test_carried.py``)."""
