"""The account's rights, which PostgreSQL sends at each login, are reported by each of its drivers."""

import asyncio
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import asyncpg
import psycopg
import psycopg2
import pytest

from backwatch.collector import names
from backwatch.collector.probes import Probe
from backwatch.collector.probes.asyncpg import AsyncpgProbe
from backwatch.collector.probes.psycopg import PsycopgProbe
from backwatch.collector.probes.psycopg2 import Psycopg2Probe
from tests.collector.probes.recording import watching
from tests.services.server import Server

ROLE, PASSWORD = "clerk", "only-in-tests"


def _asyncpg(url: str) -> None:
    async def connected() -> None:
        await (await asyncpg.connect(url)).close()

    asyncio.run(connected())


CONNECT: dict[type[Probe], Callable[[str], None]] = {
    PsycopgProbe: lambda url: psycopg.connect(url).close(),
    Psycopg2Probe: lambda url: psycopg2.connect(url).close(),
    AsyncpgProbe: _asyncpg,
}


@pytest.fixture
def clerk(postgresql: Server) -> Iterator[str]:
    """Return the URL of an account that may log in and nothing else."""
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        parts = urlsplit(postgresql.url)
        yield parts._replace(netloc=f"{ROLE}:{PASSWORD}@{parts.hostname}:{parts.port}").geturl()
        connection.execute(f"DROP ROLE {ROLE}")


@pytest.mark.parametrize("probe", CONNECT, ids=lambda call: call.__name__)
def test_a_superuser_is_distinguished_from_an_ordinary_account(
    probe: type[Probe], postgresql: Server, clerk: str
) -> None:
    with watching(probe) as recording:
        CONNECT[probe](postgresql.url)
        CONNECT[probe](clerk)
    first, second = (
        call.attributes()[names.ACCOUNT_SUPERUSER] for call in recording.calls if call.operation == "connect"
    )
    assert (first, second) == (True, False)
