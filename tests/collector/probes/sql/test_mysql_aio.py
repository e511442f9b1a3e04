"""mysql-connector-python under asyncio, against a real MariaDB."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from backwatch.collector import names
from backwatch.collector.probes.mysql import MySQLConnectorProbe
from tests.collector.probes.recording import Recording
from tests.services.server import Server

PROBES = (MySQLConnectorProbe,)
aio: Any = pytest.importorskip("mysql.connector.aio")
Work = Callable[[Any], Coroutine[Any, Any, None]]


def run(server: Server, work: Work, **options: Any) -> None:
    async def main() -> None:
        values: dict[str, Any] = {
            "host": server.host, "port": server.port, "user": server.user, "password": server.password,
            "database": "mysql", **options,
        }  # fmt: skip
        connection = await aio.connect(**values)
        try:
            await work(connection)
        finally:
            await connection.close()

    asyncio.run(main())


def test_a_session_and_its_calls_are_recorded(recording: Recording, mariadb: Server) -> None:
    async def work(connection: Any) -> None:
        cursor = await connection.cursor()
        await cursor.execute("select repeat('x', 100) from seq_1_to_2500 where seq > %s", (500,))
        assert len(await cursor.fetchall()) == 2000
        await cursor.close()
        await connection.commit()
        await connection.rollback()

    run(mariadb, work)
    connect, select, *fetches, commit, rollback = recording.calls
    session = connect.session
    assert (connect.operation, session.encrypted, session.tls_version) == ("connect", True, "1.3")
    assert (session.account, session.namespace, session.port) == (mariadb.user, "mysql", mariadb.port)
    assert (session.peer_address, session.auth_method) == ("127.0.0.1", "mysql_native_password")
    assert "MariaDB" in session.server_version
    assert (session.requested, session.requested_explicit) == ("prefer", False)
    assert {call.operation for call in fetches} == {"FETCH"}
    assert sum(call.rows_returned for call in fetches) == 2000
    assert sum(call.received for call in fetches) + select.received > 200_000
    assert (commit.operation, rollback.operation) == ("COMMIT", "ROLLBACK")


def test_rows_affected_and_errors_are_recorded(recording: Recording, mariadb: Server) -> None:
    async def work(connection: Any) -> None:
        cursor = await connection.cursor()
        await cursor.execute("create temporary table t (a int)")
        await cursor.executemany("insert into t values (%s)", [(1,), (2,), (3,)])
        with pytest.raises(Exception, match="nothing"):
            await cursor.execute("select * from nothing")

    run(mariadb, work)
    assert recording.find("insert")[0].rows_affected == 3
    (failed,) = recording.find("nothing")
    assert failed.facts == {names.STATUS_CODE: "1146"}


def test_a_failed_login_is_recorded(recording: Recording, mariadb: Server) -> None:
    async def work(connection: Any) -> None:
        raise AssertionError(connection)

    with pytest.raises(Exception, match="Access denied"):
        run(mariadb, work, password="wrong")
    (record,) = recording.calls
    assert (record.operation, record.facts) == ("connect", {names.STATUS_CODE: "1045"})


def test_calls_of_several_tasks_stay_apart(recording: Recording, mariadb: Server) -> None:
    async def call(number: int) -> None:
        connection = await aio.connect(
            host=mariadb.host, port=mariadb.port, user=mariadb.user, password=mariadb.password
        )
        cursor = await connection.cursor()
        for _ in range(5):
            await cursor.execute(f"select {number}")
            assert await cursor.fetchall() == [(number,)]
        await connection.close()

    async def main() -> None:
        await asyncio.gather(*(call(number) for number in range(4)))

    asyncio.run(main())
    for number in range(4):
        record = recording.find(f"select {number}")
        assert len(record) == 10
        assert len({id(call.session) for call in record}) == 1
