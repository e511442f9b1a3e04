"""The attack pack's apps with clients that open through ``attach``: what the app does is the scenario's own."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from backwatch.attack.clients.boto3 import Boto3
from backwatch.attack.clients.httpx import Httpx
from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.clients.requests import Requests
from backwatch.attack.protocols.server import SECRET
from backwatch.attack.scenarios import AppConfig, Scenario
from backwatch.attack.techniques.smtp import MAIL, SendsMail
from backwatch.resource import Resource
from tests.resource.attaching import attach_url


class Attached:
    """What all clients have.

    Attributes:
        settings: Of the policy.
    """

    driver: ClassVar[str]
    port: int
    ca_file: str
    settings: Mapping[str, Any]

    def resource(self, url: str) -> Resource:
        """Attach the server by a URL with the places ``PORT`` and ``SECRET``."""
        text = url.replace("PORT", str(self.port)).replace("SECRET", SECRET)
        return attach_url(text, **{"ca": self.ca_file, "driver": self.driver, **self.settings})


class AttachedMySQL(Attached):
    """One connection, opened again where it is closed. The careless options of an app are gone: attach decides."""

    connection: Any

    def connect(self, **options: Any) -> Any:
        """Return the open connection, or a new one."""
        if self.connection is None:
            url = f"mysql://shop:SECRET@{options.get('host', 'localhost')}:PORT/shop"
            self.connection = self.resource(url).connect(autocommit=True)
        return self.connection


class AttachedPyMySQL(AttachedMySQL, PyMySQL):
    """PyMySQL."""


class AttachedConnector(AttachedMySQL, MySQLConnector):
    """mysql-connector-python."""


class AttachedRequests(Attached, Requests):
    """requests."""

    def get(self, url: str, *, headers: Any = None, query: Any = None, timeout_s: float = 5, **options: Any) -> bytes:
        """Return a response's body. A URL of the app's own host is attached, others are fetched through it."""
        with self.resource(_base_of(url, self.port)).session() as session:
            response = session.get(url, params=query, headers=headers, timeout=timeout_s, **options)
            response.raise_for_status()
            return response.content


class AttachedHttpx(Attached, Httpx):
    """httpx."""

    def get(self, url: str, *, headers: Any = None, query: Any = None, timeout_s: float = 5, **options: Any) -> bytes:
        """Return a response's body. A URL of the app's own host is attached, others are fetched through it."""
        options.pop("mounts", None)
        with self.resource(_base_of(url, self.port)).client(timeout=timeout_s, **options) as client:
            return client.get(url, params=query, headers=headers).content


def _base_of(url: str, port: int) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.port == port else "https://localhost:PORT"


class AttachedBoto3(Attached, Boto3):
    """boto3."""

    def call(self, operation: str, *, attempts: int = 1, **parameters: str) -> dict[str, Any]:
        """Return the response to an operation of S3, with its body as bytes."""
        del attempts
        url = "s3+https://AKIAEXAMPLE:SECRET@localhost:PORT/shop?region=eu-central-1"
        response: dict[str, Any] = getattr(self.resource(url).client(), operation)(**parameters)
        return response | ({"Body": response["Body"].read()} if "Body" in response else {})


class AttachedMail(Attached):
    """smtplib; a mixin for apps that send mail."""

    config: AppConfig

    def send(
        self, context: object, recipients: Sequence[str] = ("ann@example.com",), *, host: str = "localhost",
        upgrades: bool = True,
    ) -> int:  # fmt: skip
        """Send a mail, and return the number of recipients that were accepted."""
        del context, upgrades
        self.port, self.ca_file, self.driver = self.config.port, self.config.ca_file, "smtplib"  # type: ignore[misc]
        session: Any = self.resource(f"smtp://shop:SECRET@{host}:PORT").session()
        with session as mail:
            return len(recipients) - len(mail.sendmail("shop@shop.example", recipients, MAIL))


CLIENTS: Mapping[type, type] = {
    PyMySQL: AttachedPyMySQL, MySQLConnector: AttachedConnector, Requests: AttachedRequests, Httpx: AttachedHttpx,
    Boto3: AttachedBoto3,
}  # fmt: skip


def attached_app(kind: type[Scenario], config: AppConfig, settings: Mapping[str, Any]) -> Scenario:
    """Return the app of a scenario, which opens its service through ``attach``."""
    if issubclass(kind, SendsMail):
        kind = type(kind.__name__, (AttachedMail, kind), {"__module__": kind.__module__, "settings": settings})
        return kind(config)
    app = kind(config)
    assert kind.client_class is not None
    app.client = CLIENTS[kind.client_class](config.port, config.ca_file)
    app.client.settings = settings
    return app
