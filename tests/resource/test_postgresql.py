"""PostgreSQL, attached through each of its client libraries, on a real server."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from backwatch.resource import Resource, ResourceUnsafe
from backwatch.resource.addresses import Place
from tests.resource.attaching import attach_server, attach_url
from tests.services.databases.postgresql import CLEARTEXT_USER
from tests.services.server import Server

pytestmark = pytest.mark.services("postgresql")

Ask = Callable[[Resource], object]


def ask_sync(resource: Resource) -> object:
    connection = resource.connect()
    try:
        cursor = connection.cursor()
        cursor.execute("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()")
        return cursor.fetchone()
    finally:
        connection.close()


def ask_psycopg_async(resource: Resource) -> object:
    async def ask() -> object:
        async with await resource.aconnect() as connection:
            cursor = await connection.execute("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()")
            return await cursor.fetchone()

    return asyncio.run(ask())


def ask_asyncpg(resource: Resource) -> object:
    async def ask() -> object:
        connection = await resource.aconnect()
        try:
            return tuple(await connection.fetchrow("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()"))
        finally:
            await connection.close()

    return asyncio.run(ask())


DRIVERS: dict[str, tuple[str, Ask]] = {
    "psycopg": ("psycopg", ask_sync), "psycopg-async": ("psycopg", ask_psycopg_async),
    "psycopg2": ("psycopg2", ask_sync), "asyncpg": ("asyncpg", ask_asyncpg),
}  # fmt: skip
every_driver = pytest.mark.parametrize(("driver", "ask"), DRIVERS.values(), ids=DRIVERS)


@every_driver
def test_session_is_encrypted_and_verified(postgresql: Server, driver: str, ask: Ask) -> None:
    encrypted, version = ask(attach_server(postgresql, driver=driver))  # type: ignore[misc]
    assert encrypted
    assert version == "TLSv1.3"


@every_driver
def test_foreign_authority_is_refused(postgresql: Server, driver: str, ask: Ask) -> None:
    with pytest.raises(ResourceUnsafe, match="certificate") as caught:
        ask(attach_server(postgresql, driver=driver, ca="system"))
    assert caught.value.check == "tls"


def lead_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any name resolve to loopback, as a hijacked DNS entry would."""
    monkeypatch.setattr(
        "backwatch.resource.addresses.resolve", lambda host, port: [Place(host, ip_address("127.0.0.1"), port)]
    )


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_certificate_for_another_name_is_refused(
    postgresql: Server, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_to_loopback(monkeypatch)
    url = postgresql.url.replace("127.0.0.1", "orders.example")
    with pytest.raises(ResourceUnsafe, match="does not match host name") as caught:
        attach_url(url, driver=driver, ca=postgresql.ca_file, addresses="any").connect()
    assert caught.value.check == "tls"


@every_driver
def test_public_name_that_leads_to_loopback_is_refused(
    postgresql: Server, driver: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_to_loopback(monkeypatch)
    with pytest.raises(ResourceUnsafe, match="own machine") as caught:
        ask(attach_url(postgresql.url.replace("127.0.0.1", "orders.example"), driver=driver, ca=postgresql.ca_file))
    assert caught.value.check == "addresses"


@every_driver
def test_weak_mode_in_the_url_is_refused(postgresql: Server, driver: str, ask: Ask) -> None:
    with pytest.raises(ResourceUnsafe, match="sslmode=disable"):
        ask(attach_url(f"{postgresql.url}?sslmode=disable", driver=driver, ca=postgresql.ca_file))


@every_driver
def test_observing_changes_nothing_and_finds_plaintext(postgresql: Server, driver: str, ask: Ask) -> None:
    resource = attach_url(f"{postgresql.url}?sslmode=disable", driver=driver, mode="observe")
    assert ask(resource) == (False, None)
    assert [finding.check for finding in resource.findings] == ["tls"]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_password_in_clear_is_not_sent(postgresql: Server, driver: str) -> None:
    url = postgresql.url.replace(f"//{postgresql.user}:", f"//{CLEARTEXT_USER}:")
    with pytest.raises(ResourceUnsafe) as caught:
        attach_url(url, driver=driver, ca=postgresql.ca_file).connect()
    assert caught.value.check == "auth"


@every_driver
def test_read_only_resource_cannot_write(postgresql: Server, driver: str, ask: Ask) -> None:
    resource: Any = attach_server(postgresql, driver=driver, read_only=True)
    statement = "create table written (number int)"

    async def write_async() -> None:
        await (await resource.aconnect()).execute(statement)

    def write() -> None:
        resource.connect().cursor().execute(statement)

    with pytest.raises(Exception, match="read-only"):
        asyncio.run(write_async()) if driver == "asyncpg" else write()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_engine_opens_checked_connections(postgresql: Server, driver: str) -> None:
    import sqlalchemy

    engine = attach_server(postgresql, driver=driver).engine()
    with engine.connect() as connection:
        row = connection.execute(sqlalchemy.text("select ssl from pg_stat_ssl where pid = pg_backend_pid()")).one()
    assert row == (True,)
    engine.dispose()
    with pytest.raises(ResourceUnsafe):
        attach_server(postgresql, driver=driver, ca="system").engine().connect()


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_async_engine_opens_checked_connections(postgresql: Server, driver: str) -> None:
    import sqlalchemy

    async def ask() -> object:
        engine = attach_server(postgresql, driver=driver).aengine()
        async with engine.connect() as connection:
            return (
                await connection.execute(sqlalchemy.text("select ssl from pg_stat_ssl where pid = pg_backend_pid()"))
            ).one()

    assert asyncio.run(ask()) == (True,)


def test_pool_checks_each_of_its_connections(postgresql: Server) -> None:
    pool = attach_server(postgresql, driver="psycopg2").pool(minconn=2, maxconn=3)
    connection = pool.getconn()
    assert connection.info.ssl_in_use
    pool.closeall()
    with pytest.raises(ResourceUnsafe):
        attach_server(postgresql, driver="psycopg2", ca="system").pool()
