"""The app of ``bench.collector_overhead``: one driver, one connection over TLS, rounds of the same call.

``python -m bench.overhead_app DRIVER VARIANT URL`` answers each line ``N`` on standard input with the CPU seconds, of
all threads, of N calls including the delivery of their records. It reads every result, as apps do.
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

STATEMENT = "SELECT i.id, i.name FROM (SELECT 7 AS id, 'pen' AS name) AS i WHERE i.id = {} AND i.name = 'pen' LIMIT 20"
INSTRUMENTORS = {"psycopg": "PsycopgInstrumentor", "pymysql": "PyMySQLInstrumentor", "redis": "RedisInstrumentor"}
DELIVERY_S = 60.0


def _flush_nothing() -> None:
    """Return a flush that does nothing: the bare driver delivers nothing."""


def contrib(driver: str) -> Callable[[], object]:
    """Start OpenTelemetry's instrumentation with its default SDK and OTLP/HTTP exporter; return the flush."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(compression=Compression.NoCompression)))
    trace.set_tracer_provider(provider)
    module: Any = import_module(f"opentelemetry.instrumentation.{driver}")
    getattr(module, INSTRUMENTORS[driver])().instrument()
    return lambda: provider.force_flush(int(DELIVERY_S * 1000))


def _deliver() -> object:
    """Return Backwatch's flush: ``backwatch run`` started it, and its pipeline came with the driver."""
    from backwatch.collector.bootstrap import start

    pipeline = start.get_pipeline()
    if pipeline is None:
        raise SystemExit("bench: this app is not watched")
    return pipeline.flush(DELIVERY_S)


def psycopg_call(url: str) -> Callable[[int], object]:
    """Run one query and read its row."""
    import psycopg

    cursor = psycopg.connect(url, autocommit=True).cursor()

    def call(number: int) -> object:
        cursor.execute(STATEMENT.format(number).encode())
        return cursor.fetchall()

    return call


def pymysql_cursor(url: str) -> Any:
    """Return a cursor over TLS."""
    import pymysql

    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname, port=parts.port or 3306, user=unquote(parts.username or ""), autocommit=True,
        password=unquote(parts.password or ""), ssl_ca=parse_qs(parts.query)["ssl_ca"][0], ssl_verify_cert=True,
        ssl_verify_identity=True,
    ).cursor()  # fmt: skip


def pymysql_call(url: str) -> Callable[[int], object]:
    """Run one query and read its row."""
    cursor = pymysql_cursor(url)

    def call(number: int) -> object:
        cursor.execute(STATEMENT.format(number))
        return cursor.fetchall()

    return call


def redis_call(url: str) -> Callable[[int], object]:
    """GET one key that may exist."""
    import redis

    client = redis.Redis.from_url(url)
    client.set("bench:7", "pen")
    return lambda number: client.get(f"bench:{number}")


CALLS = {"psycopg": psycopg_call, "pymysql": pymysql_call, "redis": redis_call}


def main() -> None:
    """Connect, report it, and answer until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("driver", choices=CALLS)
    parser.add_argument("variant", choices=("bare", "contrib", "backwatch"))
    parser.add_argument("url")
    parser.add_argument("--unique", action="store_true", help="every statement's text is new")
    options = parser.parse_args()
    deliver = {"bare": lambda _: _flush_nothing, "contrib": contrib, "backwatch": lambda _: _deliver}[options.variant](
        options.driver
    )
    call = CALLS[options.driver](options.url)
    numbers = itertools.count(1000) if options.unique else itertools.repeat(7)
    call(7)
    deliver()
    print("ready", os.getpid(), flush=True)
    for line in sys.stdin:
        count = int(line)
        begun = time.process_time()
        for number in itertools.islice(numbers, count):
            call(number)
        delivered = deliver()
        spent = time.process_time() - begun
        if delivered is False:
            raise SystemExit("bench: not everything was delivered in time")
        print(spent, flush=True)


if __name__ == "__main__":
    main()
