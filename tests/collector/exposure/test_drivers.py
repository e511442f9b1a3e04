"""Kinds of data in the values of further drivers; what leaves the process is checked in test_no_value_leaves.py."""

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg2
import pymongo
import pymysql
import pytest
from mysql import connector

from backwatch.collector import names
from backwatch.collector.exposure import observation
from backwatch.collector.exposure.mode import set_mode
from backwatch.collector.probes.asyncpg import AsyncpgProbe
from backwatch.collector.probes.mysql import MySQLConnectorProbe
from backwatch.collector.probes.MySQLdb import MySQLdbProbe
from backwatch.collector.probes.psycopg2 import Psycopg2Probe
from backwatch.collector.probes.pymongo import PyMongoProbe
from backwatch.collector.probes.pymysql import PyMySQLProbe
from tests.collector.probes.recording import Recording, watching
from tests.services.server import Server

pytestmark = pytest.mark.services
VALUES = ("ann@example.org", "4111 1111 1111 1111")
KINDS = "email,card"
SQL = "SELECT %s AS a, %s AS b"


@pytest.fixture(autouse=True)
def values() -> Iterator[None]:
    observation.forget()
    set_mode("values")
    yield
    observation.forget()
    set_mode("columns")


def kinds_in(recording: Recording) -> tuple[set[Any], set[Any]]:
    """Return the kinds received and those sent."""
    received, sent = ({call.facts.get(fact) for call in recording.calls} - {None} for fact in FACTS)
    return received, sent


FACTS = (names.DATA_RECEIVED, names.DATA_SENT)


def test_values_of_asyncpg_are_recognised(postgresql: Server) -> None:
    async def work() -> None:
        connection = await asyncpg.connect(postgresql.tls_url)
        await connection.fetch("SELECT $1::text AS a, $2::text AS b", *VALUES)
        await connection.close()

    with watching(AsyncpgProbe) as recording:
        asyncio.run(work())
    assert kinds_in(recording) == ({KINDS}, {KINDS})


def test_parameters_of_psycopg2_are_recognised(postgresql: Server) -> None:
    with watching(Psycopg2Probe) as recording:
        connection = psycopg2.connect(postgresql.tls_url)
        cursor = connection.cursor()
        cursor.execute(SQL, VALUES)
        assert cursor.fetchall() == [VALUES]
        connection.close()
    assert kinds_in(recording) == (set(), {KINDS})


def test_values_of_pymysql_are_recognised(mariadb: Server) -> None:
    with (
        watching(PyMySQLProbe) as recording,
        pymysql.connect(host=mariadb.host, port=mariadb.port, user=mariadb.user, password=mariadb.password) as made,
        made.cursor() as cursor,
    ):
        cursor.execute(SQL, VALUES)
        assert cursor.fetchall() == (VALUES,)
    assert kinds_in(recording) == ({KINDS}, {KINDS})


def test_values_of_mysqlclient_are_recognised(mysqlclient: Any, mariadb: Server) -> None:
    with watching(MySQLdbProbe) as recording:
        made = mysqlclient.connect(
            host=mariadb.host, port=mariadb.port, user=mariadb.user, password=mariadb.password
        )  # fmt: skip
        cursor = made.cursor()
        cursor.execute(SQL, VALUES)
        assert cursor.fetchall() == (VALUES,)
        made.close()
    assert kinds_in(recording) == ({KINDS}, {KINDS})


def test_parameters_of_mysql_connector_are_recognised(mariadb: Server) -> None:
    with watching(MySQLConnectorProbe) as recording:
        made = connector.connect(
            host=mariadb.host, port=mariadb.port, user=mariadb.user, password=mariadb.password, use_pure=True
        )  # fmt: skip
        cursor = made.cursor()
        cursor.execute(SQL, VALUES)
        assert cursor.fetchall() == [VALUES]
        made.close()
    assert kinds_in(recording)[1] == {KINDS}


def test_documents_of_mongodb_are_recognised(mongodb: Server) -> None:
    with watching(PyMongoProbe) as recording, pymongo.MongoClient[dict[str, Any]](mongodb.tls_url) as client:
        people = client["exposure"]["people"]
        people.insert_one({"a": VALUES[0], "b": {"c": VALUES[1]}})
        assert people.find_one({"a": VALUES[0]}) is not None
        people.drop()
    received, sent = kinds_in(recording)
    assert received == {KINDS}
    assert KINDS in sent
