"""An ordinary little shop: reads orders and customers, caches sessions, sends mail, fetches exchange rates.

It does not know Backwatch and does nothing wrong, but for one query that is concatenated by hand.
``SHOP_*`` variables hold the addresses of its services. A line on standard input is a visitor's text in the search
box. The demo runs a copy of this file in a folder of its own, as the app's own code.
"""

import logging
import os
import select
import smtplib
import ssl
import sys
import time
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import click
import psycopg
import pymysql
import redis
import requests

logger = logging.getLogger("shop")

PATIENCE_S = 5
FAILURES = (
    OSError, RuntimeError, smtplib.SMTPException, psycopg.Error, pymysql.MySQLError, redis.RedisError,
    requests.RequestException,
)  # fmt: skip


def _port(service: str) -> int:
    return int(os.environ[f"SHOP_{service.upper()}_PORT"])


def _context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ["SHOP_CA_FILE"])


class Shop:
    """The shop's services. Each is connected at its first use, and again after a failure."""

    def __init__(self) -> None:
        self._attached: dict[str, Any] = {}

    def orders_of(self, customer: str) -> int:
        """Return how many orders a customer has."""
        cursor = self._use("mysql", _attach_mysql).cursor()
        cursor.execute("SELECT id, customer, total FROM orders WHERE customer = %s ORDER BY id", (customer,))
        return len(cursor.fetchall())

    def search(self, name: str) -> int:
        """Return how many customers have this name. The concatenated statement is the shop's one injection hole."""
        with self._use("postgresql", _attach_postgresql).cursor() as cursor:
            cursor.execute(f"SELECT id, name, mail FROM customers WHERE name = '{name}' ORDER BY name")
            return len(cursor.fetchall())

    def visit(self, visitor: int) -> bytes | None:
        """Store a visit, and return the previous one. It is plain text and never unpickled."""
        cache = self._use("redis", _attach_redis)
        cache.set(f"session:{visitor}", f"visitor {visitor}")
        return cache.get(f"session:{visitor}")

    def confirm(self, order: int) -> None:
        """Confirm an order by mail."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "orders@shop.example", "customer@mail.example", f"Order {order}"
        mail.set_content("Thank you.")
        with smtplib.SMTP("localhost", _port("smtp"), timeout=PATIENCE_S) as server:
            server.starttls(context=_context())
            server.login("shop", os.environ["SHOP_PASSWORD"])
            server.send_message(mail)

    def rates(self) -> int:
        """Fetch exchange rates. Redirects are not followed."""
        session = self._use("http", requests.Session)
        url = f"https://localhost:{_port('http')}/v1/rates/EUR"
        ca_file = os.environ["SHOP_CA_FILE"]
        return session.get(url, timeout=PATIENCE_S, allow_redirects=False, verify=ca_file).status_code

    def _use(self, service: str, attach: Callable[[], Any]) -> Any:
        if service not in self._attached:
            self._attached[service] = attach()
        return self._attached[service]

    def attempt(self, service: str, work: Callable[[], object]) -> None:
        """Do one piece of work. A failure is logged, and the next use connects anew."""
        try:
            work()
        except FAILURES as error:
            logger.warning("%s: %s", service, type(error).__name__)
            self._attached.pop(service, None)


def _attach_mysql() -> "pymysql.Connection[Any]":
    return pymysql.connect(
        host="localhost", port=_port("mysql"), user="shop", password=os.environ["SHOP_PASSWORD"], database="shop",
        ssl=_context(), ssl_verify_cert=True, ssl_verify_identity=True, ssl_ca=os.environ["SHOP_CA_FILE"],
        connect_timeout=PATIENCE_S, read_timeout=PATIENCE_S, autocommit=True,
    )  # fmt: skip


def _attach_postgresql() -> "psycopg.Connection[Any]":
    return psycopg.connect(
        host="localhost", port=_port("postgresql"), user="shop", password=os.environ["SHOP_PASSWORD"], dbname="shop",
        sslmode="verify-full", sslrootcert=os.environ["SHOP_CA_FILE"], gssencmode="disable", connect_timeout=PATIENCE_S,
        autocommit=True,
    )  # fmt: skip


def _attach_redis() -> redis.Redis:
    return redis.Redis(
        host="localhost", port=_port("redis"), password=os.environ["SHOP_PASSWORD"], ssl=True,
        ssl_ca_certs=os.environ["SHOP_CA_FILE"], socket_timeout=PATIENCE_S, protocol=3,
    )  # fmt: skip


def read_search() -> str:
    """Return the line that a visitor has entered since the last round, if any."""
    if sys.stdin.closed or not select.select([sys.stdin], [], [], 0)[0]:
        return ""
    return sys.stdin.readline().rstrip("\n")


def round_of(shop: Shop, number: int, name: str) -> None:
    """Do one round of the shop's day."""
    shop.attempt("mysql", lambda: shop.orders_of(f"customer {number % 7}"))
    shop.attempt("postgresql", lambda: shop.search(name))
    shop.attempt("redis", lambda: shop.visit(number % 5))
    shop.attempt("smtp", lambda: shop.confirm(number))
    shop.attempt("http", shop.rates)


@click.command()
@click.option("--rounds", default=0, help="Rounds to do; 0: until it is stopped.")
@click.option("--every", default=0.5, help="Seconds from the beginning of a round to that of the next.")
def main(rounds: int, every: float) -> None:
    """Run the shop."""
    logging.basicConfig(format="%(name)s: %(message)s")
    shop = Shop()
    number = 0
    begins = time.monotonic()
    while not rounds or number < rounds:
        number += 1
        round_of(shop, number, read_search() or ("Ada", "Grace", "Edsger", "Barbara")[number % 4])
        begins = max(begins + every, time.monotonic())  # missed rounds are not made up for
        time.sleep(max(0.0, begins - time.monotonic()))


if __name__ == "__main__":
    main()
