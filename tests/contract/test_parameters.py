"""Each recommended line of code, checked against the installed driver.

A parameter that the driver does not know is worse than none: the reader wrongly expects to be safe.
"""

import ast
import importlib
import inspect
from typing import Any

import pytest
from psycopg2 import ProgrammingError

from backwatch.collector.probes import discover as probes
from backwatch.detector import parameters
from tests.contract.driver_keywords import OPEN, signature_of

LINES = [(one, line) for one in parameters.discover().values() for line in one.lines]
every_line = pytest.mark.parametrize(
    ("document", "line"), LINES, ids=[f"{one.name}-{line.systems[0]}-{line.driver}" for one, line in LINES]
)
OF_THE_APP = {
    "Customer", "authobject", "channel", "choose_from_your_own", "client", "collection", "column", "connection",
    "context", "cursor", "delivery_tag", "file", "host", "key", "message", "nodes", "object", "password", "pem",
    "refuse_redirects", "refuse_unknown_hosts", "serde_of_your_own_by_json", "server", "session", "str", "target",
    "text", "url", "user", "value", "wanted",
}  # fmt: skip
"""Names that stand for something of the reader's, and built-in ones."""
NOT_INSTALLED = {"MySQLdb", "lxml", "psycopg_pool", "torch"}
CONTEXT = {"imaplib.IMAP4_SSL": "ssl_context", "poplib.POP3_SSL": "context", "ftplib.FTP_TLS": "context"}
"""Without it these take any certificate."""
LAYERS = {"every service", "through a layer"}


class _Absent(Exception):
    """Mark a line about a library that is not installed here."""


def resolve(node: ast.expr) -> Any:
    """Return the object that an expression names; ``None``: an object of the app, or a result of a function."""
    match node:
        case ast.Name(id=name):
            if name in OF_THE_APP:
                return None
            if name in NOT_INSTALLED:
                raise _Absent
            return importlib.import_module(name)
        case ast.Attribute(value=value, attr=name):
            owner = resolve(value)
            if owner is None:
                return None
            if inspect.ismodule(owner) and not hasattr(owner, name):
                return importlib.import_module(f"{owner.__name__}.{name}")
            return getattr(owner, name)
        case ast.Call(func=function):
            called = resolve(function)
            return called if inspect.isclass(called) else None
        case _:
            return None


def check_call(node: ast.Call) -> None:
    called, code = resolve(node.func), ast.unparse(node.func)
    if called is None or not node.keywords:
        return
    known = inspect.signature(called).parameters
    open_to_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values())
    for keyword in node.keywords:
        assert keyword.arg is not None
        if keyword.arg in known and known[keyword.arg].kind is not inspect.Parameter.POSITIONAL_ONLY:
            continue
        shape = code if code in OPEN else "".join(ast.unparse(_bare(node.func)))
        assert open_to_all, f"{code} takes no {keyword.arg}"
        assert keyword.arg in OPEN[shape](), f"{code} knows no {keyword.arg}"


def _bare(node: ast.expr) -> ast.expr:
    """Return the same without the arguments of calls within it."""
    match node:
        case ast.Call(func=function):
            return ast.Call(func=_bare(function), args=[], keywords=[])
        case ast.Attribute(value=value, attr=name):
            return ast.Attribute(value=_bare(value), attr=name)
        case _:
            return node


@every_line
def test_every_name_in_a_line_exists_in_the_driver(
    document: parameters.DriverParameters, line: parameters.Line
) -> None:
    tree = ast.parse(line.code)
    try:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                check_call(node)
            elif isinstance(node, ast.Attribute | ast.Name):
                resolve(node)
    except _Absent:
        pytest.skip(f"{line.driver} is not installed")


@pytest.mark.parametrize(
    "code",
    [
        'psycopg.connect(url, ssl_mode="x")', 'psycopg2.connect(url, sslmod="x")', "ssl.create_context(cafile='x')",
        "redis.Redis(host, ssl_check_host=True)", "pymongo.MongoClient(url, tlsCAFiles='x')",
        "kafka.KafkaProducer(ssl_ca_file='x')", "requests.get('x', redirect=0)", "nats.connect(url, ca='x')",
        "urllib3.PoolManager().request('GET', 'x', allow_redirects=False)", "botocore.config.Config(timeout=3)",
        "mysql.connector.connect(enable_cleartext_plugin=False)", "ldap3.Tls(verify=True)",
        "aio_pika.connect_robust(url, tls=True)", "asyncpg.connect(url, sslmode='x')",
    ],
)  # fmt: skip
def test_the_check_finds_a_wrong_name(code: str) -> None:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    with pytest.raises((AssertionError, ImportError, AttributeError, ProgrammingError)):
        check_call(call)


def _is_property(name: str, value: object) -> bool:
    import confluent_kafka

    try:
        confluent_kafka.Consumer({"group.id": "x", name: value}).close()
    except confluent_kafka.KafkaException as error:  # such as a missing authority file
        return "No such configuration property" not in str(error)
    return True


def test_librdkafka_knows_every_property() -> None:
    assert not _is_property("ssl.ca.file", "x")
    for _, line in LINES:
        if line.driver == "confluent-kafka":
            [options] = [ast.literal_eval(one) for one in ast.walk(ast.parse(line.code)) if isinstance(one, ast.Dict)]
            assert [name for name, value in options.items() if not _is_property(name, value)] == []


def unsafe(code: str) -> bool:
    """Return whether a call in a line accepts any certificate, or a session in clear."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            code, named = ast.unparse(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}
            if (
                code in {"imaplib.IMAP4", "poplib.POP3", "ftplib.FTP"}
                or (code in CONTEXT and CONTEXT[code] not in named)
                or (code == "ldap3.Tls" and named.get("validate") != "ssl.CERT_REQUIRED")
                or (code == "nats.connect" and "tls" in named and named.get("tls_handshake_first") != "True")
            ):
                return True
    return False


@every_line
def test_no_line_opens_a_session_that_verifies_nothing(
    document: parameters.DriverParameters, line: parameters.Line
) -> None:
    assert not unsafe(line.code)


@pytest.mark.parametrize(
    "code",
    ["imaplib.IMAP4(host)", "poplib.POP3_SSL(host)", "ldap3.Tls(version=2)", "nats.connect(url, tls=context)"],
)
def test_the_check_finds_an_unsafe_line(code: str) -> None:
    assert unsafe(code)


def test_opensearch_checks_the_name_by_the_line_for_it() -> None:
    import opensearchpy

    [line] = [line for one, line in LINES if one.name == "verified-tls" and line.driver == "opensearch-py"]
    call = ast.parse(line.code, mode="eval").body
    assert isinstance(call, ast.Call)
    options = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords if one.arg != "ca_certs"}
    client: Any = opensearchpy.OpenSearch(["search"], **options)
    [connection] = client.transport.connection_pool.connections
    # Where it is not None, the certificate must contain this name.
    assert connection.pool.assert_hostname is None
    assert connection.pool.cert_reqs == "CERT_REQUIRED"


def test_kombus_tls_matches_its_transport() -> None:
    from amqp.transport import SSLTransport

    known = signature_of(SSLTransport._wrap_socket_sni)
    lines = [line for one, line in LINES if one.name.endswith("-tls") and line.driver.startswith("kombu")]
    assert len(lines) == 2
    for line in lines:
        [options] = [one for one in ast.walk(ast.parse(line.code)) if isinstance(one, ast.Dict)]
        assert {ast.literal_eval(one) for one in options.keys if one is not None} <= known


def test_pymysql_refuses_disabled_login_plugins() -> None:
    import pymysql

    [line] = [line for one, line in LINES if one.name == "strong-login" and line.driver == "PyMySQL"]
    call = ast.parse(line.code, mode="eval").body
    assert isinstance(call, ast.Call)
    [taken] = [one.value for one in call.keywords if one.arg == "auth_plugin_map"]
    assert isinstance(taken, ast.Dict)
    names = [ast.literal_eval(one) for one in taken.keys if one is not None]
    connect: Any = pymysql.Connection
    connection = connect(defer_connect=True, auth_plugin_map=dict.fromkeys(names, object))
    for name in names:
        with pytest.raises(pymysql.OperationalError, match="not loaded"):
            connection._get_auth_plugin_handler(name.encode())


def test_every_network_driver_has_a_line_for_verified_tls() -> None:
    drivers = " ".join(line.driver for one, line in LINES if one.name == "verified-tls").lower().replace("-", "_")
    called = {
        "http": "http.client", "mysql": "mysql_connector", "MySQLdb": "mysqlclient", "pytds": "python_tds",
        "clickhouse_connect": "clickhouse_connect", "aiormq": "aio_pika", "nats": "nats_py", "botocore": "boto3",
        "grpc": "grpcio", "kafka": "kafka_python", "opensearchpy": "opensearch_py",
    }  # fmt: skip
    layers = {"sqlite3", "sqlalchemy", "django", "httpx2"}
    """Those without a connection of their own; the note names them. httpx2 is written as httpx."""
    assert [
        one.name for one in probes() if one.name not in layers and called.get(one.name, one.name).lower() not in drivers
    ] == []


def test_a_kind_of_service_is_called_as_the_contract_calls_it() -> None:
    known = {
        "postgresql", "mysql", "mariadb", "microsoft.sql_server", "sqlite", "clickhouse", "cassandra", "redis",
        "valkey", "memcached", "mongodb", "elasticsearch", "opensearch", "kafka", "rabbitmq", "nats", "http", "s3",
        "aws_sqs", "aws.dynamodb", "aws-api", "grpc", "smtp", "imap", "pop3", "ftp", "ldap",
    }  # fmt: skip
    assert {one for _, line in LINES for one in line.systems} <= known | LAYERS
