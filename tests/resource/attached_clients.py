"""The attack pack's clients, opening through ``attach`` in mode enforce: what an app changes to use the resource."""

import asyncio
from typing import Any, ClassVar
from urllib.parse import quote

from backwatch.attack.clients import Client
from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.protocols.server import SECRET
from backwatch.resource import Resource
from backwatch.resource.systems import discover
from tests.resource.attaching import attach_url

POLICY: dict[str, Any] = {
    "max_rows": 1_000, "max_reply_bytes": 1 << 20, "connect_timeout_s": 3, "read_timeout_s": 3,
}  # fmt: skip
"""A policy that fits the pack's small apps; what a client library cannot keep is left out."""


def attach_client(client: Any, scheme: str, options: dict[str, Any], path: str = "", **settings: Any) -> Resource:
    """Attach the scenario's server as a deploy would, whatever careless options the app has."""
    host = options.get("host", "localhost")
    url = f"{scheme}://shop:{quote(SECRET)}@{host}:{client.port}/{path}"
    wanted = POLICY | client.policy | settings
    cannot = next(driver.cannot for driver in discover() if driver.module == client.driver)
    kept = {name: value for name, value in wanted.items() if name not in cannot}
    return attach_url(url, driver=client.driver, ca=client.ca_file, **kept)


class AttachedPsycopg(Psycopg):
    """psycopg."""

    policy: ClassVar[dict[str, Any]] = {}

    def connect(self, **options: Any) -> Any:
        if self.connection is None or self.connection.closed:
            self.connection = attach_client(self, "postgresql", options, "shop").connect(autocommit=True)
        return self.connection


class AttachedPsycopg2(Psycopg2):
    """psycopg2."""

    policy: ClassVar[dict[str, Any]] = {}

    def connect(self, **options: Any) -> Any:
        if self.connection is None or self.connection.closed:
            self.connection = attach_client(self, "postgresql", options, "shop").connect()
            self.connection.autocommit = True
        return self.connection


class AttachedAsyncpg(Asyncpg):
    """asyncpg."""

    policy: ClassVar[dict[str, Any]] = {}

    def connect(self, **options: Any) -> Any:
        return asyncio.ensure_future(attach_client(self, "postgresql", options, "shop").aconnect())


ATTACHED: dict[str, type[Client]] = {
    "Psycopg": AttachedPsycopg, "Psycopg2": AttachedPsycopg2, "Asyncpg": AttachedAsyncpg,
}  # fmt: skip
"""By the name of the pack's class."""
