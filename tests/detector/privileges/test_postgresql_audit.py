"""The script for PostgreSQL, on a real server: it suffices, no line is spare, and what is beyond is found."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.detector.privileges.apps import postgresql_app
from tests.detector.privileges.recording import audit, audit_json, find_spare, record
from tests.services.server import Server

TABLES = """
CREATE SCHEMA sales;
REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC;
CREATE TABLE customers (id serial PRIMARY KEY, name text, mail text);
CREATE TABLE sales.audit_log (id serial, line text);
CREATE TABLE sales."Order" (id int GENERATED ALWAYS AS IDENTITY, customer int, "Total Price" int);
CREATE VIEW sales.overview AS SELECT customer FROM sales."Order";
CREATE TABLE sales.stock (item text, amount int);
CREATE TABLE sessions (until timestamptz);
CREATE TABLE archive_source (id int);
CREATE TABLE archive (id int);
CREATE TABLE counters (name text PRIMARY KEY, value int);
CREATE TABLE seen (name text PRIMARY KEY);
CREATE TABLE jobs (id int, done boolean);
CREATE TABLE staging (id int);
CREATE TABLE imports (line text);
CREATE TABLE exports (line text);
CREATE TABLE unused (id serial);
CREATE SEQUENCE ticket;
CREATE FUNCTION reserved(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION reserved FROM PUBLIC;
CREATE ROLE {account} LOGIN PASSWORD '{password}';
GRANT CONNECT, TEMPORARY, CREATE ON DATABASE {database} TO {account};
GRANT USAGE ON SCHEMA sales TO {account};
GRANT ALL ON ALL TABLES IN SCHEMA public, sales TO {account};
GRANT ALL ON ALL SEQUENCES IN SCHEMA public, sales TO {account};
GRANT EXECUTE ON FUNCTION reserved TO {account};
"""


class Shop:
    """A database with an account that may do far more than its app does."""

    def __init__(self, url: str) -> None:
        self.admin_url, self.password = url, secrets.token_hex(8)
        self.database = urlsplit(url).path[1:]
        self.account = f"shop_{self.database}"
        self.admin = psycopg.connect(url, autocommit=True)
        text = TABLES.format(database=self.database, account=self.account, password=self.password)
        self.run(text)

    def url(self, account: str) -> str:
        parts = urlsplit(self.admin_url)
        return parts._replace(netloc=f"{account}:{self.password}@{parts.hostname}:{parts.port}").geturl()

    def run(self, text: str) -> None:
        self.admin.execute(text.encode())

    def works(self, account: str) -> bool:
        try:
            postgresql_app.main(self.url(account))
        except psycopg.Error:
            return False
        return True

    def close(self) -> None:
        for account in (self.account, f"{self.account}_least"):
            if self.admin.execute("SELECT FROM pg_roles WHERE rolname = %s", (account,)).fetchone() is not None:
                self.run(f"DROP OWNED BY {account}; DROP ROLE {account}")
        self.admin.close()


@pytest.fixture
def shop(postgresql_database: str) -> Iterator[Shop]:
    made = Shop(postgresql_database)
    yield made
    made.close()


def revoke(line: str) -> str:
    return re.sub(r" TO (\S+);$", r" FROM \1;", line.replace("GRANT", "REVOKE", 1))


def test_the_script_suffices_and_no_line_is_spare(shop: Shop, tmp_path: Path) -> None:
    stream = record("postgresql_app", shop.url(shop.account), tmp_path)
    found = audit_json(stream, shop.url(shop.account))
    lines = [line["line"] for line in found["script"]]
    least = f"{shop.account}_least"
    shop.run("\n".join(lines) + f"ALTER ROLE {least} PASSWORD '{shop.password}'")
    assert shop.works(least), lines

    spare = find_spare(
        [line for line in lines if line.startswith("GRANT")], lambda line: shop.run(revoke(line)), shop.run,
        lambda: shop.works(least),
    )  # fmt: skip

    assert spare == []
    assert all(line["proofs"] for line in found["script"][1:])


def test_what_was_never_used_is_listed(shop: Shop, tmp_path: Path) -> None:
    stream = record("postgresql_app", shop.url(shop.account), tmp_path)

    found = audit_json(stream, shop.url(shop.account))

    unused = {(grant["privilege"], ".".join(grant["name"])) for grant in found["unused"]}
    assert {("DELETE", "public.customers"), ("SELECT", "public.unused"), ("CREATE", shop.database)} <= unused
    assert not unused & {
        ("INSERT", "public.customers"),
        ("UPDATE", "sales.stock"),
        ("USAGE", "public.customers_id_seq"),
    }
    assert found["powers"] == []


def test_the_least_account_has_no_findings(shop: Shop, tmp_path: Path) -> None:
    stream = record("postgresql_app", shop.url(shop.account), tmp_path)
    found = audit_json(stream, shop.url(shop.account))
    least = f"{shop.account}_least"
    shop.run("\n".join(line["line"] for line in found["script"]) + f"ALTER ROLE {least} PASSWORD '{shop.password}'")
    (tmp_path / "stream.db").unlink()
    stream = record("postgresql_app", shop.url(least), tmp_path)

    code, output = audit(stream, shop.url(least))

    assert code == 0, output


def test_the_owner_of_the_server_is_a_finding(postgresql: Server, shop: Shop, tmp_path: Path) -> None:
    stream = {"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path / 'empty.db'}"}

    code, output = audit(stream, shop.admin_url)

    assert code == 3
    assert "critical: SUPERUSER" in output
    assert "No script" in output
    assert postgresql.password not in output


@pytest.mark.parametrize(("url", "code", "text"), [
    ("postgresql://shop:s3cret@127.0.0.1:1/shop", 1, "127.0.0.1:1"),
    ("gopher://shop:s3cret@127.0.0.1/", 2, "scheme"),
    ("postgresql://shop:s3cret@127.0.0.1:1/shop?evil=1", 2, "evil"),
    ("postgresql://shop:s3cret@127.0.0.1:x/shop", 2, "port"),
])  # fmt: skip
def test_an_error_is_one_line_without_the_secret(url: str, code: int, text: str, tmp_path: Path) -> None:
    found, output = audit({"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path / 'empty.db'}"}, url)

    assert (found, output.count("\n")) == (code, 1)
    assert text in output
    assert "s3cret" not in output
