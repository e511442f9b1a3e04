"""Tables and the engine."""

import os

from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from sqlalchemy.pool import StaticPool


class Base(DeclarativeBase):
    """Tables of the shop."""


class Customer(Base):
    """A customer."""

    __tablename__ = "shop_customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    city: Mapped[str]


class Order(Base):
    """An order."""

    __tablename__ = "shop_order"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("shop_customer.id"))
    total: Mapped[int]


url = os.environ.get("DATABASE_URL", "sqlite://")
options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}} if url == "sqlite://" else {}
engine = create_engine(url, **options)
Session = sessionmaker(engine)


def create_tables() -> None:
    """Create the tables that are missing."""
    Base.metadata.create_all(engine)
