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
import pytest
from click.testing import CliRunner

from backwatch.resource.checklist.command import check
from tests.resource import tls_front
from tests.services.authority import Authority
from tests.services.server import Server

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
        "nobody logged in: the password would go over an unverified session"
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


def list_faults_behind_front(
    planted: Planted, upstream_port: int, url: str, ca: Authority, foreign: Authority
) -> set[str]:
    certificate = planted.issue(ca, foreign)
    with tls_front.serve(upstream_port, certificate, oldest=planted.oldest, newest=planted.newest) as port:
        return set(list_faults(url.format(port=port), ca.ca_file))


every_planted = pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)


@every_planted
@pytest.mark.services("memcached")
def test_faults_of_memcached_tls_are_found(
    memcached: Server, planted: Planted, ca: Authority, foreign: Authority
) -> None:
    found = list_faults_behind_front(planted, memcached.port, "memcacheds://localhost:{port}", ca, foreign)
    assert found == planted.expected | {"login"}  # memcached has no login here
