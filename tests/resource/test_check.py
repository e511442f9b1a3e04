"""``backwatch check`` on real servers with planted faults: it finds each, and invents none."""

import contextlib
import datetime as dt
import json
import secrets
import ssl
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pymysql
import pytest
from click.testing import CliRunner

from backwatch.resource.checklist.command import check
from tests.resource import tls_front
from tests.services.authority import Authority
from tests.services.internet.smtp import MailServer
from tests.services.process import binary, free_port, private_folder, run_process, write
from tests.services.server import Server, accepts

NAME = "ORDERS_URL"
SECRET = "a-long-random-password-7f3k"


def run_check(url: str, ca_file: Path | str, *arguments: str, **variables: str) -> Any:
    environment = {
        NAME: url, "BACKWATCH_RESOURCE_CA": str(ca_file), "BACKWATCH_RESOURCE_TLS_ON_LOOPBACK": "required", **variables,
    }  # fmt: skip
    done = CliRunner(env=environment).invoke(check, [NAME, "--json", *arguments])
    assert done.exit_code in (0, 3), done.output
    return json.loads(done.stdout)


def list_faults(url: str, ca_file: Path | str, **variables: str) -> dict[str, str]:
    """Return the faults that were found: check to what was seen."""
    return {item["check"]: item["seen"] for item in run_check(url, ca_file, **variables) if item["status"] == "fault"}


# --- PostgreSQL ---


@contextlib.contextmanager
def postgresql_role(server: Server, options: str = "", password: str = SECRET) -> Generator[str]:
    """Create a role; return the URL with it. ``strict_`` ones are refused without TLS by the server's rules."""
    role = f"strict_{secrets.token_hex(4)}"
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"create role {role} login password '{password}' {options}".encode())  # type: ignore[arg-type]
        admin.execute(f"grant strict to {role}".encode())  # type: ignore[arg-type]
        try:
            yield f"postgresql://{role}:{password}@localhost:{server.port}/postgres"
        finally:
            admin.execute(f"drop role {role}".encode())  # type: ignore[arg-type]


POSTGRESQL_FAULTS: dict[str, tuple[str, str, set[str]]] = {
    "none": ("", SECRET, set()),
    "superuser": ("superuser", SECRET, {"account"}),
    "may make roles": ("createrole", SECRET, {"account"}),
    "may make databases": ("createdb", SECRET, {"account"}),
    "may replicate": ("replication", SECRET, {"account"}),
    "passes row security": ("bypassrls", SECRET, {"account"}),
    "reads files of the server": ("in role pg_read_server_files", SECRET, {"account"}),
    "runs programs": ("in role pg_execute_server_program", SECRET, {"account"}),
    "well-known password": ("", "changeme", {"password"}),
    "short password": ("", "k3f9xq", {"password"}),
}


@pytest.mark.services("postgresql")
@pytest.mark.parametrize(("options", "password", "expected"), POSTGRESQL_FAULTS.values(), ids=POSTGRESQL_FAULTS)
def test_faults_of_a_postgresql_account_are_found(
    postgresql: Server, options: str, password: str, expected: set[str]
) -> None:
    with postgresql_role(postgresql, options, password) as url:
        assert set(list_faults(url, postgresql.ca_file)) == expected


@pytest.mark.services("postgresql")
def test_plaintext_beside_tls_is_found(postgresql: Server) -> None:
    faults = list_faults(postgresql.url.replace("127.0.0.1", "localhost"), postgresql.ca_file)
    assert set(faults) == {"plaintext", "account"}
    assert "without TLS" in faults["plaintext"]


@pytest.mark.services("postgresql")
def test_no_password_goes_over_an_unverified_session(postgresql: Server) -> None:
    with postgresql_role(postgresql) as url:
        items = run_check(url, "system")
    assert {item["check"] for item in items if item["status"] == "fault"} == {"verified"}
    assert [item["seen"] for item in items if item["check"] == "account"] == [
        "no login was tried: the password would go over an unverified session"
    ]


# --- certificates and versions of TLS, under each protocol that has a TLS port ---


class Planted(NamedTuple):
    """A TLS front's fault.

    Attributes:
        issue: Makes the certificate.
        expected: Checks that must find something.
    """

    issue: Callable[[Authority, Authority], Any]
    expected: set[str]
    oldest: ssl.TLSVersion | None = None
    newest: ssl.TLSVersion | None = None


def in_days(days: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=days)


PLANTED = {
    "none": Planted(lambda ca, _: ca.issue(), set()),
    "foreign authority": Planted(lambda _, foreign: foreign.issue(), {"verified"}),
    "another name": Planted(lambda ca, _: ca.issue("other.example"), {"verified"}),
    "expired": Planted(lambda ca, _: ca.issue(not_after=in_days(-1)), {"verified", "certificate"}),
    "ends in days": Planted(lambda ca, _: ca.issue(not_after=in_days(3)), {"certificate"}),
    "old versions beside": Planted(lambda ca, _: ca.issue(), {"tls-version"}, oldest=ssl.TLSVersion.TLSv1),
}


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("foreign"), "Another authority")


every_planted = pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)


FRONTED = {
    "memcached": ("memcached", "memcacheds://localhost:{port}", {"login"}),  # it has no login here
    "redis": ("redis_server", "rediss://{user}:{password}@localhost:{port}/0", {"account", "login", "version"}),
    "rabbitmq": ("rabbitmq", "amqps://{user}:{password}@localhost:{port}/", {"version"}),
    "mongodb": ("mongodb", "mongodb://localhost:{port}/shop", {"login"}),  # FerretDB here has no accounts
    "kafka": ("kafka", "kafkas://localhost:{port}", {"login"}),  # this listener has none
}
"""Fixture, URL behind a TLS front, and what the tests' server itself has: found in each case."""
every_service = pytest.mark.parametrize("service", FRONTED)


@every_planted
@every_service
def test_faults_of_a_services_tls_are_found(
    service: str, planted: Planted, ca: Authority, foreign: Authority, request: pytest.FixtureRequest
) -> None:
    fixture, url, own = FRONTED[service]
    server: Server = request.getfixturevalue(fixture)
    certificate = planted.issue(ca, foreign)
    with tls_front.serve(server.port, certificate, oldest=planted.oldest, newest=planted.newest) as port:
        found = set(list_faults(url.format(port=port, user=server.user, password=server.password), ca.ca_file))
    logs_in = "verified" not in planted.expected
    assert found == planted.expected | (own if logs_in else own - {"account", "version"})


# --- plaintext, and services without a login ---


def redis_settings(folder: Path, *lines: str) -> str:
    return "\n".join(['save ""', f"dir {folder}", "bind 127.0.0.1", *lines])


@contextlib.contextmanager
def run_redis(ca: Authority, *lines: str, tls: bool = True) -> Generator[int]:
    """Run a Redis of the test's own with these settings; yield its port."""
    certificate, port = ca.issue(), free_port()
    with private_folder("redis") as folder:
        listen = [
            "port 0", f"tls-port {port}", f"tls-cert-file {certificate.certificate_file}",
            f"tls-key-file {certificate.key_file}", f"tls-ca-cert-file {ca.ca_file}", "tls-auth-clients no",
        ]  # fmt: skip
        settings = write(folder / "redis.conf", redis_settings(folder, *(listen if tls else [f"port {port}"]), *lines))
        with run_process([binary("redis", "redis-server"), str(settings)], folder=folder, ready=accepts(port)):
            yield port


LIMITED = f"user default on >{SECRET} ~shop:* &* -@all +@read +@write +info +ping +acl|whoami +acl|getuser"
REDIS_FAULTS: dict[str, tuple[tuple[str, ...], str, set[str]]] = {
    "none but its age": ((LIMITED,), SECRET, {"version"}),
    "all commands": ((f"requirepass {SECRET}",), SECRET, {"account", "version"}),
    "no password": ((), "", {"login", "account", "password", "version"}),
    "well-known password": (("requirepass foobared",), "foobared", {"account", "password", "version"}),
    "default account beside": (
        ("user default on >redis ~* &* +@all", f"user shop on >{SECRET} ~shop:* &* -@all +@read +info +acl|whoami"),
        f"shop:{SECRET}", {"default-password", "version"},
    ),
}  # fmt: skip


@pytest.mark.services("redis_server")
@pytest.mark.parametrize(("lines", "login", "expected"), REDIS_FAULTS.values(), ids=REDIS_FAULTS)
def test_faults_of_a_redis_are_found(ca: Authority, lines: tuple[str, ...], login: str, expected: set[str]) -> None:
    login = login if ":" in login else f":{login}" if login else ""
    with run_redis(ca, *lines) as port:
        at = f"{login}@" if login else ""
        assert set(list_faults(f"rediss://{at}localhost:{port}/0", ca.ca_file)) == expected


@pytest.mark.services("redis_server")
def test_redis_in_plaintext_is_found_and_no_password_is_sent(ca: Authority) -> None:
    with run_redis(ca, f"requirepass {SECRET}", tls=False) as port:
        items = run_check(f"redis://:{SECRET}@localhost:{port}/0", ca.ca_file)
    assert {item["check"] for item in items if item["status"] == "fault"} == {"encrypted", "plaintext"}
    assert any(item["check"] == "account" and item["status"] == "unknown" for item in items)


ROOT_IS_OPEN = {"default-password", "plaintext"}
"""Installed as Debian does it, the server has a root account for 127.0.0.1 without a password."""
MARIADB_FAULTS: dict[str, tuple[str, str, set[str]]] = {
    "none": ("GRANT SELECT ON shop.* TO {account}", SECRET, set()),
    "all privileges": ("GRANT ALL ON *.* TO {account} WITH GRANT OPTION", SECRET, {"account"}),
    "reads files": ("GRANT FILE ON *.* TO {account}", SECRET, {"account"}),
    "sees all statements": ("GRANT PROCESS ON *.* TO {account}", SECRET, {"account"}),
    "makes accounts": ("GRANT CREATE USER ON *.* TO {account}", SECRET, {"account"}),
    "empty password": ("GRANT SELECT ON shop.* TO {account}", "", {"password"}),
    "well-known password": ("GRANT SELECT ON shop.* TO {account}", "secret", {"password"}),
}


@pytest.mark.services("mariadb")
@pytest.mark.parametrize(("grant", "password", "expected"), MARIADB_FAULTS.values(), ids=MARIADB_FAULTS)
def test_faults_of_a_mariadb_account_are_found(mariadb: Server, grant: str, password: str, expected: set[str]) -> None:
    name = f"check{secrets.token_hex(4)}"
    account = f"'{name}'@'%'"
    with pymysql.connect(host="127.0.0.1", port=mariadb.port, user=mariadb.user, password=mariadb.password) as admin:
        cursor = admin.cursor()
        cursor.execute(f"CREATE USER {account} IDENTIFIED BY '{password}'")
        cursor.execute(grant.format(account=account))
        try:
            login = f"{name}:{password}" if password else name
            assert (
                set(list_faults(f"mysql://{login}@localhost:{mariadb.port}/", mariadb.ca_file))
                == expected | ROOT_IS_OPEN
            )
        finally:
            cursor.execute(f"DROP USER {account}")


def test_mail_server_that_takes_logins_in_plaintext_is_found(smtp_server: MailServer) -> None:
    login = f"{smtp_server.user}:{smtp_server.password}"
    safe = list_faults(f"smtp://{login}@localhost:{smtp_server.port}/", smtp_server.ca_file)
    unsafe = list_faults(f"smtp://{login}@localhost:{smtp_server.plain_port}/", smtp_server.ca_file)
    assert set(safe) == set()
    assert set(unsafe) == {"encrypted", "plaintext"}


def test_service_that_cannot_be_reached_is_a_fault(ca: Authority) -> None:
    assert set(list_faults(f"redis://:{SECRET}@localhost:{free_port()}/0", ca.ca_file)) == {"reachable"}


def test_report_for_code_hosts_and_build_servers_holds_each_fault(smtp_server: MailServer, tmp_path: Path) -> None:
    sarif, junit = tmp_path / "check.sarif", tmp_path / "check.xml"
    run_check(
        f"smtp://localhost:{smtp_server.plain_port}/", smtp_server.ca_file, "--sarif", str(sarif), "--junit", str(junit)
    )
    results = json.loads(sarif.read_text())["runs"][0]["results"]
    assert {result["ruleId"] for result in results} == {"encrypted", "plaintext"}
    assert 'failures="2"' in junit.read_text()


def test_at_least_forty_faults_are_planted() -> None:
    fronts = sum(len(planted.expected) for planted in PLANTED.values()) * len(FRONTED)
    accounts = [*POSTGRESQL_FAULTS.values(), *REDIS_FAULTS.values(), *MARIADB_FAULTS.values()]
    assert fronts + sum(len(expected) for *_, expected in accounts) >= 40
