"""The attack pack's apps, attached: each driver's constructor is replaced by one that opens through ``attach``.

What an app would change by hand: ``pymysql.connect(…)`` becomes ``attach("ORDERS_URL").connect()``. Host, port, account
and database stay; careless options are gone, for the policy decides.
"""

import contextlib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import quote, urlencode, urlsplit

from backwatch.attack.protocols.server import SECRET
from backwatch.resource import Resource
from backwatch.resource.systems import discover
from tests.resource.attaching import attach_url

POLICY: dict[str, Any] = {
    "max_rows": 1_000, "max_reply_bytes": 1 << 20, "connect_timeout_s": 3, "read_timeout_s": 3,
    "statement_timeout_s": 3,
}  # fmt: skip
"""A policy that fits the pack's small apps; what a client library cannot keep is left out."""


@dataclass(slots=True, kw_only=True)
class Attacher:
    """Attaches the server of one scenario.

    Attributes:
        driver: Module of the client library.
        port: Of the server on loopback.
        ca_file: Authority of the deploy.
        policy: What the deploy declares beyond ``POLICY``.
        originals: The driver's own constructors, by dotted name.
    """

    driver: str
    port: int
    ca_file: str
    policy: dict[str, Any]
    originals: dict[str, Any] = field(default_factory=dict[str, Any])

    def attach(
        self, scheme: str, host: object = "localhost", path: str = "", *, login: str = f"shop:{quote(SECRET)}",
        query: dict[str, str] | None = None,
    ) -> Resource:  # fmt: skip
        """Attach a URL of the server."""
        at = f"{login}@" if login else ""
        end = f"?{urlencode(query)}" if query else ""
        cannot = next(driver.cannot for driver in discover() if driver.module == self.driver)
        kept = {name: value for name, value in (POLICY | self.policy).items() if name not in cannot}
        url = f"{scheme}://{at}{host}:{self.port}/{path}{end}"
        return attach_url(url, driver=self.driver, ca=self.ca_file, **kept)


Opener = Callable[..., Any]


def _sql(scheme: str) -> Callable[[Attacher], Opener]:
    def make(attacher: Attacher) -> Opener:
        def connect(**options: Any) -> Any:
            database = options.get("dbname") or options.get("database") or "shop"
            kept = {"autocommit": options["autocommit"]} if "autocommit" in options else {}
            return attacher.attach(scheme, options.get("host", "localhost"), str(database)).connect(**kept)

        return connect

    return make


def _asyncpg(attacher: Attacher) -> Opener:
    async def connect(**options: Any) -> Any:
        return await attacher.attach("postgresql", options.get("host", "localhost"), "shop").aconnect()

    return connect


def _redis(scheme: str) -> Callable[[Attacher], Opener]:
    def make(attacher: Attacher) -> Opener:
        def open_client(*_: Any, **options: Any) -> Any:
            login = f":{quote(options['password'])}" if options.get("password") else ""
            kept = {name: options[name] for name in ("retry",) if name in options}
            return attacher.attach(scheme, options.get("host", "localhost"), login=login).client(**kept)

        return open_client

    return make


def _sentinel(attacher: Attacher) -> Opener:
    def open_sentinel(hosts: Any, **options: Any) -> Any:
        login = f":{quote(options['password'])}"
        client = attacher.attach("rediss+sentinel", hosts[0][0], "shop", login=login).client()
        return SimpleNamespace(master_for=lambda _service: client)

    return open_sentinel


def _requests(attacher: Attacher) -> Opener:
    def get(url: str, **options: Any) -> Any:
        host = urlsplit(url).hostname if "second" in attacher.policy else "localhost"
        with attacher.attach("https", host, login="").session() as session:
            kept = {
                name: options[name] for name in ("params", "headers", "timeout", "allow_redirects") if name in options
            }
            return session.get(url, **kept)

    return get


def _httpx(attacher: Attacher) -> Opener:
    def open_client(**options: Any) -> Any:
        kept = {name: options[name] for name in ("follow_redirects",) if name in options}
        return attacher.attach("https", login="").client(**kept)

    return open_client


def _smtplib(attacher: Attacher) -> Opener:
    def open_session(host: str = "localhost", *_: Any, **__: Any) -> Any:
        session = attacher.attach("smtp", host).session()
        session.starttls = session.login = lambda *_, **__: None  # an attached app calls neither
        return session

    return open_session


def _pymemcache(attacher: Attacher) -> Opener:
    def open_client(server: tuple[str, int], **_: Any) -> Any:
        return attacher.attach("memcacheds", server[0], login="").client()

    return open_client


def _pymongo(attacher: Attacher) -> Opener:
    def open_client(host: str, _port: int, **options: Any) -> Any:
        kept = {name: options[name] for name in ("replicaSet", "readPreference", "directConnection") if name in options}
        login = ""
        if options.get("username"):
            login = f"{quote(options['username'])}:{quote(options['password'])}"
        return attacher.attach("mongodb", host, login=login).client(**kept)

    return open_client


def _pika(attacher: Attacher) -> Opener:
    def connect(parameters: Any) -> Any:
        return attacher.attach("amqps", parameters.host).connect()

    return connect


def _aio_pika(attacher: Attacher) -> Opener:
    async def connect(**options: Any) -> Any:
        return await attacher.attach("amqps", options.get("host", "localhost")).aconnect()

    return connect


def _kombu(attacher: Attacher) -> Opener:
    def connect(**_: Any) -> Any:
        return attacher.attach("amqps").client()

    return connect


def _kafka(kind: str) -> Callable[[Attacher], Opener]:
    def make(attacher: Attacher) -> Opener:
        def open_client(**options: Any) -> Any:
            names = ("auto_offset_reset", "group_id", "enable_idempotence", "retries", "max_block_ms")
            kept = {name: options[name] for name in names if name in options}
            return attacher.attach("kafkas", query={"sasl_mechanism": "PLAIN"}).client(kind=kind, **kept)

        return open_client

    return make


def _boto3(attacher: Attacher) -> Opener:
    def open_client(*_: Any, **__: Any) -> Any:
        query = {"region": "eu-central-1"}
        return attacher.attach("s3+https", path="shop", login=f"AKIAEXAMPLE:{quote(SECRET)}", query=query).client()

    return open_client


CONSTRUCTORS: dict[str, dict[str, Callable[[Attacher], Opener]]] = {
    "psycopg": {"psycopg.connect": _sql("postgresql")},
    "psycopg2": {"psycopg2.connect": _sql("postgresql")},
    "asyncpg": {"asyncpg.connect": _asyncpg},
    "pymysql": {"pymysql.connect": _sql("mysql")},
    "mysql.connector": {"mysql.connector.connect": _sql("mysql")},
    "redis": {
        "redis.Redis": _redis("rediss"),
        "redis.sentinel.Sentinel": _sentinel, "redis.cluster.RedisCluster": _redis("rediss+cluster"),
    },
    "valkey": {
        "valkey.Valkey": _redis("valkeys"), "valkey.cluster.ValkeyCluster": _redis("valkeys+cluster"),
    },
    "requests": {"requests.get": _requests},
    "httpx": {"httpx.Client": _httpx},
    "smtplib": {"smtplib.SMTP": _smtplib},
    "pymemcache": {"pymemcache.client.base.Client": _pymemcache},
    "pymongo": {"pymongo.MongoClient": _pymongo},
    "pika": {"pika.BlockingConnection": _pika},
    "aio_pika": {"aio_pika.connect": _aio_pika},
    "kombu": {"kombu.connection.Connection": _kombu},
    "boto3": {"boto3.client": _boto3},
    "kafka": {"kafka.KafkaProducer": _kafka("producer"), "kafka.KafkaConsumer": _kafka("consumer")},
}  # fmt: skip
"""By driver: dotted names of constructors that the pack's apps call, and what opens in their place."""


@contextlib.contextmanager
def attached(attacher: Attacher) -> Generator[None]:
    """Replace the driver's constructors. While one opens, the driver's own are back, for ``attach`` needs them."""
    places = CONSTRUCTORS[attacher.driver]
    with contextlib.ExitStack() as stack:
        for dotted, make in places.items():
            module, name = dotted.rsplit(".", 1)
            importlib.import_module(module)
            _replace(stack, dotted, name, make(attacher))
        yield


def _replace(stack: contextlib.ExitStack, dotted: str, name: str, opener: Opener) -> None:
    original = pkgutil.resolve_name(dotted)
    patchers: list[Any] = []

    def open_attached(*arguments: Any, **options: Any) -> Any:
        patchers.pop().stop()
        try:
            return opener(*arguments, **options)
        finally:
            start()

    async def open_attached_async(*arguments: Any, **options: Any) -> Any:
        patchers.pop().stop()
        try:
            return await opener(*arguments, **options)
        finally:
            start()

    class Attaching(type):
        """Of the class that stands for the driver's: still asked by ``isinstance`` and for its attributes."""

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, original)

        def __getattr__(cls, attribute: str) -> Any:
            return getattr(original, attribute)

        def __call__(cls, *arguments: Any, **options: Any) -> Any:
            return open_attached(*arguments, **options)

    def start() -> None:
        new: Any = open_attached_async if inspect.iscoroutinefunction(opener) else open_attached
        if isinstance(original, type):
            new = Attaching(name, (), {})
        patchers.append(mock.patch(dotted, new=new))
        patchers[-1].start()

    start()
    stack.callback(lambda: patchers.pop().stop())
