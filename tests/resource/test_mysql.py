"""MySQL and MariaDB, attached through each client library: a real server, and the hostile ones of the attack pack."""

import importlib
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy.exc

from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import SECRET, HostileServer
from backwatch.attack.scenarios.mysql.clear_password import ClearPasswordMySQL
from backwatch.attack.scenarios.mysql.full_login import FullLogin
from backwatch.attack.scenarios.mysql.key_from_server import OwnKey
from backwatch.attack.scenarios.mysql.old_hash import OldHashMySQL
from backwatch.attack.techniques.local_infile import FileRequestingMySQL
from backwatch.attack.techniques.mysql_tls import TlsStrippingMySQL, WantsPassword
from backwatch.resource import Resource, ResourceMisconfigured, ResourceUnsafe, attach
from backwatch.resource.addresses import Place
from tests.resource.attaching import attach_server, attach_url
from tests.resource.hostile import attach_hostile, serve_hostile
from tests.services.server import Server

URL = "mysql://shop:SECRET@localhost:PORT/shop"
DRIVERS = ["pymysql", "mysql.connector", "MySQLdb"]
every_driver = pytest.mark.parametrize("driver", DRIVERS)
in_python = pytest.mark.parametrize("driver", ["pymysql", "mysql.connector"])
"""Libraries whose every step is judged; the one in C is given options."""


@pytest.fixture(autouse=True)
def skip_if_not_built(request: pytest.FixtureRequest) -> None:
    if "MySQLdb" in request.node.name:
        request.getfixturevalue("mysqlclient")


def ask(resource: Resource, statement: str = "SHOW STATUS LIKE 'Ssl_version'") -> Any:
    connection = resource.connect()
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        return cursor.fetchall()
    finally:
        connection.close()


@pytest.mark.services("mariadb")
@every_driver
def test_session_is_encrypted_and_verified(mariadb: Server, driver: str) -> None:
    assert ask(attach_server(mariadb, driver=driver))[0][1] == "TLSv1.3"


@in_python
@pytest.mark.parametrize("place", ["127.0.0.1:1", "nowhere.invalid"])
def test_absent_server_raises_the_librarys_own_error(driver: str, place: str) -> None:
    resource = attach("SHOP_URL", environment={"SHOP_URL": f"mysql://shop:SECRET@{place}/shop"}, driver=driver)
    with pytest.raises(importlib.import_module(driver).Error, match=r"2003.*(refused|not known|resolution)"):
        resource.connect()
    with pytest.raises(sqlalchemy.exc.DBAPIError):
        resource.engine().connect()


@pytest.mark.services("mariadb")
@every_driver
def test_foreign_authority_is_refused(mariadb: Server, driver: str) -> None:
    with pytest.raises(ResourceUnsafe, match="certificate") as caught:
        ask(attach_server(mariadb, driver=driver, ca="system"))
    assert caught.value.check == "tls"


@pytest.mark.services("mariadb")
@every_driver
def test_statements_are_bounded_in_time(mariadb: Server, driver: str) -> None:
    with pytest.raises(Exception, match=r"max_statement_time|timeout"):
        ask(attach_server(mariadb, driver=driver, statement_timeout_s=1), "SELECT SLEEP(20), BENCHMARK(1, 1)")


@pytest.mark.services("mariadb")
@every_driver
def test_read_only_resource_cannot_write(mariadb: Server, driver: str) -> None:
    with pytest.raises(Exception, match="READ ONLY"):
        ask(attach_server(mariadb, driver=driver, read_only=True), "CREATE TABLE written (number int)")


@pytest.mark.services("mariadb")
@every_driver
def test_observing_changes_nothing_and_finds_plaintext(mariadb: Server, driver: str) -> None:
    option = {"pymysql": "ssl_disabled=true", "mysql.connector": "ssl_disabled=true", "MySQLdb": "ssl_mode=DISABLED"}
    resource = attach_url(f"{mariadb.url}?{option[driver]}", driver=driver, mode="observe")
    assert ask(resource)[0][1] == ""
    assert [finding.check for finding in resource.findings] == ["tls"]


@pytest.mark.services("mariadb")
@every_driver
def test_weakened_url_is_refused(mariadb: Server, driver: str) -> None:
    with pytest.raises(ResourceUnsafe, match="verification off") as caught:
        ask(attach_url(f"{mariadb.url}?ssl_disabled=true", driver=driver, ca=mariadb.ca_file))
    assert caught.value.check == "tls"


@pytest.mark.services("mariadb")
@in_python
def test_result_flood_is_refused(mariadb: Server, driver: str) -> None:
    resource = attach_server(mariadb, driver=driver, max_rows=10, max_reply_bytes=4 << 20)
    assert len(ask(resource, "SELECT seq FROM seq_1_to_10")) == 10
    with pytest.raises(ResourceUnsafe) as caught:
        ask(resource, "SELECT seq FROM seq_1_to_11")
    assert caught.value.check == "max_rows"
    with pytest.raises(ResourceUnsafe) as caught:
        ask(resource, "SELECT REPEAT('x', 1000000) FROM seq_1_to_9")
    assert caught.value.check == "max_reply_bytes"


@pytest.mark.services("mariadb")
@every_driver
def test_engine_opens_checked_connections(mariadb: Server, driver: str) -> None:
    import sqlalchemy

    engine = attach_server(mariadb, driver=driver).engine()
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SHOW STATUS LIKE 'Ssl_version'")).one()[1] == "TLSv1.3"
    engine.dispose()
    with pytest.raises(ResourceUnsafe):
        attach_server(mariadb, driver=driver, ca="system").engine().connect()


@pytest.mark.services("mariadb")
@every_driver
def test_older_version_than_the_least_is_refused(mariadb: Server, driver: str) -> None:
    with pytest.raises(ResourceUnsafe) as caught:
        ask(attach_server(mariadb, driver=driver, min_version="99"))
    assert caught.value.check == "min_version"
    assert ask(attach_server(mariadb, driver=driver, min_version="10"))


@pytest.mark.services("mariadb")
@in_python
def test_another_certificate_than_the_pinned_one_is_refused(mariadb: Server, driver: str) -> None:
    with pytest.raises(ResourceUnsafe, match="fingerprint") as caught:
        ask(attach_server(mariadb, driver=driver, pin=["ab" * 32]))
    assert caught.value.check == "pin"


@pytest.mark.services("mariadb")
@every_driver
def test_public_name_that_leads_to_loopback_is_refused(
    mariadb: Server, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "backwatch.resource.addresses.resolve", lambda host, port: [Place(host, ip_address("127.0.0.1"), port)]
    )
    url = mariadb.url.replace("127.0.0.1", "orders.example")
    with pytest.raises(ResourceUnsafe, match="own machine") as caught:
        ask(attach_url(url, driver=driver, ca=mariadb.ca_file))
    assert caught.value.check == "addresses"


@pytest.mark.services("mariadb")
@in_python
def test_certificate_for_another_name_is_refused(mariadb: Server, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver connects to the judged address, and verifies the name of the URL."""
    monkeypatch.setattr(
        "backwatch.resource.addresses.resolve", lambda host, port: [Place(host, ip_address("127.0.0.1"), port)]
    )
    url = mariadb.url.replace("127.0.0.1", "orders.example")
    with pytest.raises(ResourceUnsafe, match="Hostname mismatch") as caught:
        ask(attach_url(url, driver=driver, ca=mariadb.ca_file, addresses="any"))
    assert caught.value.check == "tls"


@pytest.mark.parametrize("scheme", ["mysql+pymysql", "mariadb+pymysql"])
def test_scheme_names_the_client_library(scheme: str) -> None:
    assert "with pymysql" in repr(attach_url(f"{scheme}://shop@localhost/shop"))


class OldestHashMySQL(HonestMySQL):
    """Asks for a proof by the hash of MySQL 4.0."""

    def log_in(self, wire: Packets, proof: bytes) -> None:
        del proof
        wire.send(b"\xfemysql_old_password\0" + bytes(20) + b"\0")
        self.on_leak(wire.receive())


HOSTILE: dict[type[HostileServer], tuple[str, str]] = {
    TlsStrippingMySQL: ("tls", "no TLS"), OwnKey: ("tls", "no TLS"), FullLogin: ("tls", "no TLS"),
    ClearPasswordMySQL: ("auth", "mysql_clear_password"), OldHashMySQL: ("auth", "mysql_native_password"),
    OldestHashMySQL: ("auth", "mysql_old_password"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "driver"),
    [(kind, driver) for kind in HOSTILE for driver in DRIVERS if (kind, driver) != (OldHashMySQL, "MySQLdb")],
)
def test_hostile_login_is_refused_before_a_proof_leaves(kind: type[HostileServer], driver: str, tmp_path: Path) -> None:
    check, seen = HOSTILE[kind]
    if driver == "MySQLdb":
        seen = "asks for another login" if check == "auth" else seen
    with serve_hostile(kind, tmp_path) as server, pytest.raises(ResourceUnsafe, match=seen) as caught:
        ask(attach_hostile(server, URL, driver=driver), "SELECT 1")
    assert caught.value.check == check
    assert server.kept == []


@in_python
def test_strong_login_never_sends_the_password(driver: str, tmp_path: Path) -> None:
    with serve_hostile(WantsPassword, tmp_path) as server, pytest.raises(ResourceUnsafe, match="whole password"):
        ask(attach_hostile(server, URL, driver=driver, auth="strong"), "SELECT 1")
    assert server.kept == []


@in_python
def test_client_certificate_does_not_switch_verification_off(driver: str, tmp_path: Path) -> None:
    with serve_hostile(WantsPassword, tmp_path) as server:
        own = server.authority.issue("client")
        url = f"{URL}?ssl_cert={own.chain}&ssl_key={own.key}"
        with pytest.raises(ResourceUnsafe, match="certificate") as caught:
            ask(attach_hostile(server, url, driver=driver, ca="system"), "SELECT 1")
    assert caught.value.check == "tls"
    assert server.kept == []


@every_driver
def test_request_for_a_local_file_is_refused(driver: str, tmp_path: Path) -> None:
    with serve_hostile(FileRequestingMySQL, tmp_path) as server, pytest.raises(ResourceUnsafe) as caught:
        ask(attach_hostile(server, URL, driver=driver), "SELECT id FROM orders")
    assert caught.value.check == "local_infile"
    assert server.kept == []


@every_driver
def test_honest_server_of_the_pack_is_accepted(driver: str, tmp_path: Path) -> None:
    with serve_hostile(ClearPasswordMySQL, tmp_path, hostile=False) as server:
        assert len(ask(attach_hostile(server, URL, driver=driver), "SELECT id FROM orders")) == 12


@pytest.mark.parametrize("kind", [ClearPasswordMySQL, WantsPassword], ids=lambda kind: kind.__name__)
def test_bare_driver_sends_the_password(kind: type[HostileServer], tmp_path: Path) -> None:
    import pymysql

    with serve_hostile(kind, tmp_path) as server:
        pymysql.connect(
            host="localhost", port=server.port, user="shop", password=SECRET, ssl_ca=str(server.authority.ca_file)
        )
        assert SECRET.encode() in server.kept


def test_login_that_the_c_library_cannot_keep_is_an_error(mysqlclient: object) -> None:
    with pytest.raises(ResourceMisconfigured, match="auth = 'strong' cannot be kept by MySQLdb"):
        attach_url("mysql://shop:x@localhost/shop", driver="MySQLdb", auth="strong").connect()


@pytest.mark.services("mariadb")
def test_pool_holds_checked_connections(mariadb: Server) -> None:
    pool = attach_server(mariadb, driver="mysql.connector").pool(pool_size=2)
    for _ in range(3):
        connection = pool.get_connection()
        cursor = connection.cursor()
        cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
        assert cursor.fetchall()[0][1] == "TLSv1.3"
        cursor.close()
        connection.close()
    with pytest.raises(ResourceUnsafe):
        attach_server(mariadb, driver="mysql.connector", ca="system").pool()


@pytest.fixture
def dripping(tmp_path: Path) -> Iterator[HostileServer]:
    with serve_hostile(DrippingMySQL, tmp_path) as server:
        yield server


class DrippingMySQL(HonestMySQL):
    """Sends a row's bytes one by one, without end."""

    def answers(self, wire: Packets, statement: bytes) -> bool:
        import time

        if not statement.startswith(b"SELECT"):
            return False
        wire._session.send(b"\xff\xff\x00\x01")
        while True:
            wire._session.send(b"x")
            time.sleep(0.2)


@in_python
def test_drips_are_refused_by_the_total_time(dripping: HostileServer, driver: str) -> None:
    resource = attach_hostile(dripping, URL, driver=driver, statement_timeout_s=0.5, read_timeout_s=0.5)
    with pytest.raises(ResourceUnsafe) as caught:
        ask(resource, "SELECT id FROM orders")
    assert caught.value.check == "statement_timeout_s"
