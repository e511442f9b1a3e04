"""Opens a suite's connections through ``attach``, and notes each that it opened in the file of ``SUITE_ATTACHED``.

Where a test names another server, or gives a parameter on which the policy decides, it gets the driver's own function:
such tests are about failing, or about that parameter.
"""

import os
from typing import Any
from urllib.parse import quote

from backwatch.resource import attach

HOST, PORT, CA = os.environ["SUITE_HOST"], os.environ["SUITE_PORT"], os.environ["SUITE_CA_FILE"]
FILE = os.environ["SUITE_ATTACHED"]
ENDPOINT = ("host", "port", "user", "password", "dbname", "database")
DECIDED = frozenset({
    "sslmode", "sslrootcert", "hostaddr", "require_auth", "gssencmode", "service", "passfile", "ssl", "dsn",
    "direct_tls", "options", "connect_timeout", "timeout", "command_timeout",
})  # fmt: skip
NAME = "SUITE_URL"


def open_attached(kind: str, driver: str, parameters: dict[str, Any], options: dict[str, Any]) -> Any:
    """Attach the suite's server with the account of these parameters, and open it."""
    login = f"{quote(str(parameters['user']), safe='')}:{quote(str(parameters.get('password') or ''), safe='')}"
    database = parameters.get("dbname") or parameters.get("database") or ""
    resource = attach(
        NAME, environment={NAME: f"postgresql://{login}@{HOST}:{PORT}/{quote(str(database))}"}, driver=driver, ca=CA,
        tls_on_loopback="required",
    )  # fmt: skip
    with open(FILE, "a", encoding="ascii") as file:  # noqa: PTH123  a suite may patch pathlib
        file.write(".")
    return getattr(resource, kind)(**options)


def fits(parameters: dict[str, Any]) -> bool:
    """Return whether these parameters name the suite's server and an account, and nothing that the policy decides."""
    here = str(parameters.get("host")) == HOST and str(parameters.get("port")) == PORT
    return here and bool(parameters.get("user")) and not DECIDED & set(parameters)


def replace_psycopg2() -> None:
    """Replace ``psycopg2.connect``."""
    import psycopg2
    import psycopg2.extensions

    original = psycopg2.connect

    def connect(dsn: Any = None, connection_factory: Any = None, cursor_factory: Any = None, **given: Any) -> Any:
        try:
            parameters = psycopg2.extensions.parse_dsn(dsn or "") | given
        except Exception:  # noqa: BLE001  the driver itself shall report it
            parameters = {}
        if not fits(parameters):
            return original(dsn, connection_factory, cursor_factory, **given)
        options = {name: value for name, value in parameters.items() if name not in ENDPOINT}
        options |= {"connection_factory": connection_factory} if connection_factory else {}
        options |= {"cursor_factory": cursor_factory} if cursor_factory else {}
        psycopg2.connect = original
        try:
            return open_attached("connect", "psycopg2", parameters, options)
        finally:
            psycopg2.connect = connect

    psycopg2.connect = connect


def replace_asyncpg() -> None:
    """Replace ``asyncpg.connect``."""
    import asyncpg

    original = asyncpg.connect

    async def connect(dsn: Any = None, **given: Any) -> Any:
        variables = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
        parameters = {name: os.environ.get(variable) for name, variable in variables.items()} | given
        if dsn is not None or not fits(parameters):
            return await original(dsn, **given)
        options = {name: value for name, value in given.items() if name not in ENDPOINT}
        asyncpg.connect = original
        try:
            opening = open_attached("aconnect", "asyncpg", {"database": "postgres"} | parameters, options)
            return await opening
        finally:
            asyncpg.connect = connect

    asyncpg.connect = connect


{"psycopg2": replace_psycopg2, "asyncpg": replace_asyncpg}[os.environ["SUITE_DRIVER"]]()
