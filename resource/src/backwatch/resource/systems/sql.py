"""Client libraries of SQL databases: also engines of SQLAlchemy, each of whose connections is opened safely."""

from typing import Any, ClassVar

from backwatch.resource.errors import DriverMissing
from backwatch.resource.opening import Attachment
from backwatch.resource.systems import Driver


class SqlDriver(Driver):
    """A library that SQLAlchemy can use.

    Attributes:
        dialect: SQLAlchemy's name of it, ``postgresql+psycopg``.
        async_dialect: Of its asynchronous twin; empty: none.
    """

    dialect: ClassVar[str] = ""
    async_dialect: ClassVar[str] = ""

    def kinds(self) -> list[str]:
        """Return the kinds of opening that it has, engines only where SQLAlchemy has a dialect."""
        missing = {"engine": self.dialect, "aengine": self.async_dialect}
        return [kind for kind in super().kinds() if missing.get(kind, True)]

    def engine(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return an ``Engine`` of SQLAlchemy; options are those of ``create_engine``."""
        create = _import_sqlalchemy(attachment).create_engine
        if not self.dialect:
            raise TypeError(f"{attachment.name}: SQLAlchemy has no synchronous dialect for {self.module}")
        return create(
            f"{self.dialect}://", creator=lambda: self.open(attachment, "connect", {}),
            **{"pool_pre_ping": True, **options},
        )  # fmt: skip

    def aengine(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return an ``AsyncEngine`` of SQLAlchemy; options are those of ``create_async_engine``."""
        _import_sqlalchemy(attachment)
        from sqlalchemy.ext.asyncio import create_async_engine

        if not self.async_dialect:
            raise TypeError(f"{attachment.name}: SQLAlchemy has no asynchronous dialect for {self.module}")
        return create_async_engine(
            f"{self.async_dialect}://", async_creator=lambda: self.open_async(attachment, "aconnect", {}),
            **{"pool_pre_ping": True, **options},
        )  # fmt: skip


def _import_sqlalchemy(attachment: Attachment) -> Any:
    try:
        import sqlalchemy
    except ImportError:
        raise DriverMissing(f"{attachment.name}: an engine needs SQLAlchemy; install sqlalchemy") from None
    return sqlalchemy
