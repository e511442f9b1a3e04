"""PostgreSQL, attached through each of its client libraries, on a real server."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from backwatch.resource import Resource, ResourceUnsafe
from backwatch.resource.addresses import Place
from backwatch.resource.systems.postgresql.psycopg import _parameters, _pool_classes
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


@every_driver
def test_only_the_pinned_certificate_is_accepted(postgresql: Server, driver: str, ask: Ask) -> None:
    with pytest.raises(ResourceUnsafe) as caught:
        ask(attach_server(postgresql, driver=driver, pin=["ab" * 32]))
    assert caught.value.check == "pin"
    shown = caught.value.seen.rpartition(" ")[2]
    assert ask(attach_server(postgresql, driver=driver, pin=[shown])) == (True, "TLSv1.3")


@every_driver
def test_older_server_than_declared_is_refused(postgresql: Server, driver: str, ask: Ask) -> None:
    with pytest.raises(ResourceUnsafe, match="announces version") as caught:
        ask(attach_server(postgresql, driver=driver, min_version="99"))
    assert caught.value.check == "min_version"
    assert ask(attach_server(postgresql, driver=driver, min_version="9.6"))


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


@every_driver
def test_password_in_clear_is_not_sent(postgresql: Server, driver: str, ask: Ask) -> None:
    url = postgresql.url.replace(f"//{postgresql.user}:", f"//{CLEARTEXT_USER}:")
    with pytest.raises(ResourceUnsafe) as caught:
        ask(attach_url(url, driver=driver, ca=postgresql.ca_file))
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


def lead_to_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "backwatch.resource.addresses.resolve", lambda host, port: [Place(host, ip_address("169.254.169.254"), port)]
    )


def test_pool_resolves_the_host_for_each_connection(postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = attach_server(postgresql, driver="psycopg2").pool(minconn=1, maxconn=2)
    pool.getconn()
    lead_to_metadata(monkeypatch)
    with pytest.raises(ResourceUnsafe, match="metadata"):
        pool.getconn()
    pool.closeall()


def test_pooled_classes_resolve_the_host_for_each_connection(
    postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    attachment = attach_server(postgresql, driver="psycopg")._attachment
    parameters = _parameters(attachment, {})
    connection, async_connection = _pool_classes(attachment, {})
    connection.connect("", **parameters).close()

    async def open_async() -> None:
        await (await async_connection.connect("", **parameters)).close()

    asyncio.run(open_async())
    lead_to_metadata(monkeypatch)
    with pytest.raises(ResourceUnsafe, match="metadata"):
        connection.connect("", **parameters)
    with pytest.raises(ResourceUnsafe, match="metadata"):
        asyncio.run(open_async())


@every_driver
def test_result_with_too_many_rows_is_refused(postgresql: Server, driver: str, ask: Ask) -> None:
    resource = attach_server(postgresql, driver=driver, max_rows=1_000)
    statement = "select generate_series(1, 2000)"

    async def ask_async() -> None:
        connection = await resource.aconnect()
        await (connection.fetch(statement) if driver == "asyncpg" else connection.execute(statement))

    with pytest.raises(ResourceUnsafe) as caught:
        resource.connect().cursor().execute(statement) if ask is ask_sync else asyncio.run(ask_async())
    assert caught.value.check == "max_rows"


@pytest.mark.parametrize("is_async", [False, True])
def test_endless_reply_is_cut_before_it_fills_memory(postgresql: Server, is_async: bool) -> None:
    resource = attach_server(postgresql, driver="psycopg", max_reply_bytes=4 << 20, max_rows=1 << 30)
    statement = "select repeat('x', 1000) from generate_series(1, 100000)"

    async def ask_async() -> None:
        await (await resource.aconnect()).execute(statement)

    with pytest.raises(ResourceUnsafe) as caught:
        asyncio.run(ask_async()) if is_async else resource.connect().execute(statement)
    assert caught.value.check == "max_reply_bytes"


def test_server_that_never_answers_is_left(postgresql: Server) -> None:
    resource = attach_server(postgresql, driver="psycopg", read_timeout_s=0.3)
    connection = resource.connect()
    with pytest.raises(ResourceUnsafe) as caught:
        connection.execute("select pg_sleep(20)")
    assert caught.value.check == "read_timeout_s"
    assert connection.closed


def test_idle_listener_may_wait_for_ever(postgresql: Server) -> None:
    connection = attach_server(postgresql, driver="psycopg", read_timeout_s=0.1).connect(autocommit=True)
    connection.execute("listen nothing")
    assert list(connection.notifies(timeout=0.5)) == []
    assert connection.execute("select 1").fetchone() == (1,)
