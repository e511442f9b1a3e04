"""Sessions of SQLAlchemy's engines, as far as their URLs describe them."""

from types import ModuleType
from typing import Any

from backwatch.collector.probes.toolkit.dbapi import MAX_TEXT_CHARACTERS, ConnectionState
from backwatch.collector.probes.toolkit.layers import format_version, to_file_path, to_system_name
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import Session


def driver_of(dialect: Any) -> str:
    """Return the package of this dialect's driver; ``""`` where it has none."""
    dbapi = getattr(dialect, "dbapi", None)  # an app's own dialect may lack it
    if dbapi is None:
        return ""
    if isinstance(dbapi, ModuleType):
        return dbapi.__name__
    return str(getattr(dialect, "driver", "")).removesuffix("_async")  # an adapter of SQLAlchemy's own


def describe_engine(dialect: Any, url: Any) -> Session:
    """Describe an engine by its URL; the facts of its connections only the driver knows."""
    version = format_version(getattr(dialect, "server_version_info", None))
    if dialect.name == "sqlite":
        file = to_file_path(url.database or ":memory:")
        return Session(system="sqlite", address=file, transport="inproc", server_version=version)
    return Session(
        system=to_system_name(dialect.name),
        address=words(url.host, MAX_TEXT_CHARACTERS),
        port=url.port or 0,
        namespace=words(url.database, MAX_TEXT_CHARACTERS),
        transport="",
        account=words(url.username, MAX_TEXT_CHARACTERS),
        server_version=version,
    )


class EngineState(ConnectionState):
    """The state of one engine, which stands for all of its connections."""

    __slots__ = ("driver", "url", "version")

    def __init__(self, dialect: Any, url: Any, driver: str) -> None:
        super().__init__(describe_engine(dialect, url))
        self.driver = driver
        self.url = url
        self.version: object = None

    def refresh(self, dialect: Any) -> None:
        """Add the server's version, which SQLAlchemy asks for on the first connection."""
        version = getattr(dialect, "server_version_info", None)
        if version is not self.version:
            self.version, self.session = version, describe_engine(dialect, self.url)
