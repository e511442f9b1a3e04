"""The script for MariaDB, on a real server: it suffices, no line is spare, and what is beyond is found."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pymysql
import pytest

from backwatch.detector.audit.mysql_catalogue import parse_grant
from tests.detector.privileges.apps import mariadb_app
from tests.detector.privileges.recording import audit, audit_json, find_spare, record
from tests.services.server import Server

TABLES = """
CREATE TABLE customers (id int AUTO_INCREMENT PRIMARY KEY, name text);
CREATE TABLE `Or``der` (customer int, `Total Price` int);
CREATE VIEW overview AS SELECT customer FROM `Or``der`;
CREATE TABLE stock (item varchar(20), amount int);
CREATE TABLE sessions (until datetime);
CREATE TABLE settings (name varchar(20) PRIMARY KEY, value int);
CREATE TABLE counters (name varchar(20) PRIMARY KEY, value int);
CREATE TABLE staging (id int);
CREATE TABLE jobs (id int);
CREATE TABLE items (id int, price int);
CREATE TABLE prices (item int, price int);
CREATE TABLE unused (id int);
CREATE PROCEDURE close_day() SELECT 1;
CREATE FUNCTION discount(a int) RETURNS int DETERMINISTIC RETURN a;
CREATE USER `{account}`@`%` IDENTIFIED BY '{password}';
GRANT ALL ON `{database}`.* TO `{account}`@`%`;
GRANT PROCESS ON *.* TO `{account}`@`%`;
CREATE ROLE `{account}_role`;
GRANT SELECT ON unused TO `{account}_role`;
GRANT `{account}_role` TO `{account}`@`%`;
SET DEFAULT ROLE `{account}_role` FOR `{account}`@`%`;
"""


class Shop:
    """A database with an account that may do far more than its app does."""

    def __init__(self, server: Server, url: str) -> None:
        self.server, self.url, self.password = server, url, secrets.token_hex(8)
        self.database = urlsplit(url).path[1:]
        self.account = f"shop_{self.database}"
        self.admin = pymysql.connect(
            host=server.host, port=server.port, user=server.user, password=server.password, database=self.database,
            autocommit=True,
        )  # fmt: skip
        self.run_all(TABLES.format(account=self.account, password=self.password, database=self.database))

    def url_of(self, account: str) -> str:
        return f"mysql://{account}:{self.password}@{self.server.host}:{self.server.port}/{self.database}"

    def run_all(self, text: str) -> None:
        for statement in text.strip().splitlines():
            self.run(statement)

    def run(self, statement: str) -> None:
        with self.admin.cursor() as cursor:
            cursor.execute(statement)

    def works(self, account: str) -> bool:
        try:
            mariadb_app.main(self.url_of(account))
        except pymysql.Error:
            return False
        return True

    def close(self) -> None:
        for account in (self.account, f"{self.account}_least"):
            self.run(f"DROP USER IF EXISTS `{account}`@`%`")
        self.run(f"DROP ROLE IF EXISTS `{self.account}_role`")
        self.admin.close()


@pytest.fixture
def shop(mariadb: Server, mariadb_database: str) -> Iterator[Shop]:
    made = Shop(mariadb, mariadb_database)
    yield made
    made.close()


def revoke(line: str) -> str:
    return re.sub(r" TO (\S+;)$", r" FROM \1", line.replace("GRANT", "REVOKE", 1))


def test_the_script_suffices_and_no_line_is_spare(shop: Shop, tmp_path: Path) -> None:
    stream = record("mariadb_app", shop.url_of(shop.account), tmp_path)
    found = audit_json(stream, shop.url_of(shop.account))
    lines = [line["line"] for line in found["script"]]
    least = f"{shop.account}_least"
    shop.run_all("\n".join(lines))
    shop.run(f"ALTER USER `{least}`@`%` IDENTIFIED BY '{shop.password}' ACCOUNT UNLOCK")
    mariadb_app.main(shop.url_of(least))

    spare = find_spare(lines[1:], lambda line: shop.run(revoke(line)), shop.run, lambda: shop.works(least))

    assert spare == []
    assert all(line["proofs"] for line in found["script"][1:])


def test_what_was_never_used_is_listed(shop: Shop, tmp_path: Path) -> None:
    stream = record("mariadb_app", shop.url_of(shop.account), tmp_path)

    found = audit_json(stream, shop.url_of(shop.account))

    unused = {(grant["privilege"], ".".join(grant["name"])) for grant in found["unused"]}
    assert {("ALTER", shop.database), ("SELECT", f"{shop.database}.unused")} <= unused
    assert not unused & {("SELECT", shop.database), ("DROP", shop.database)}
    powers = {(power["level"], power["name"].partition(" on ")[0]) for power in found["powers"]}
    assert ("medium", "PROCESS") in powers
    assert found["account"] == f"{shop.account}@%"


def test_an_administrator_is_a_finding_and_no_hash_is_shown(shop: Shop, tmp_path: Path) -> None:
    stream = {"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path / 'empty.db'}"}

    code, output = audit(stream, shop.url)

    assert code == 3
    assert "critical: ALL PRIVILEGES on *.*" in output
    assert "IDENTIFIED" not in output
    assert shop.server.password not in output


def test_another_account_is_read_with_an_administrators(shop: Shop, tmp_path: Path) -> None:
    stream = {"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path / 'empty.db'}"}

    code, output = audit(stream, shop.url, "--account", shop.account)

    assert code == 3
    assert f"account {shop.account}@%" in output
    assert "from role" in output


@pytest.mark.parametrize("line", [
    "GRANT", "GRANT SELECT", "GRANT SELECT ON", "GRANT ON `a`.`b` TO", "GRANT `a` TO", "SELECT 1", "", "GRANT (((",
    "GRANT a ON * TO `x`",
])  # fmt: skip
def test_a_hostile_line_of_grants_makes_nothing_fail(line: str) -> None:
    parse_grant(line)
