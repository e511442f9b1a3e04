"""Ordinary work on real servers, a past of eight days and an hour on simulated time: nothing above informational."""

import contextlib
import importlib
import json
import os
import pkgutil
import secrets
import time
from collections.abc import Callable, Generator
from urllib.parse import urlsplit

import pytest

from backwatch.attack.baseline import hour
from backwatch.attack.baseline.hour import HOUR_NS, run_quiet_hour
from backwatch.attack.baseline.workload_runs import runs_of
from backwatch.attack.baseline.workloads import Workload
from tests.services.databases import fresh_database
from tests.services.process import ROOT
from tests.services.server import Server
from tests.system import quiet_scenes
from tests.system.quiet_scenes.real import SERVERS, RealScene

DAY_NS = 24 * HOUR_NS
BEGINS_NS = 11 * HOUR_NS
"""Of the day (UTC): the nightly export raises an alert on its seventh day, a day before this hour.
Without that day in its history, this hour had a false volume-spike."""
RIGHTLY = ("end-of-life-server", "known-exploited-server")
"""True of the servers that a machine happens to have: Debian's RabbitMQ is older than its makers support."""


def workloads() -> list[type[Workload]]:
    """Return every scenario of the folder."""
    modules = [
        importlib.import_module(f"{quiet_scenes.__name__}.{one.name}")
        for one in pkgutil.iter_modules(quiet_scenes.__path__)
    ]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, RealScene)
        and value.__module__ == module.__name__ != RealScene.__module__
    ]


@contextlib.contextmanager
def ordinary(server: Server) -> Generator[dict[str, object]]:
    """Create a PostgreSQL database with an account that owns it and has no other right."""
    name = f"t_{secrets.token_hex(6)}"
    fresh_database.postgresql_sql(server.url, f"create role {name} login password '{server.password}'")
    fresh_database.postgresql_sql(server.url, f"create database {name} owner {name}")
    try:
        yield describe_server(server, server.tls_port, name, user=name)
    finally:
        fresh_database.postgresql_sql(server.url, f"drop database {name} with (force)")
        fresh_database.postgresql_sql(server.url, f"drop role {name}")


def describe_server(server: Server, port: int, database: str, user: str = "") -> dict[str, object]:
    """Return a server's facts for the apps."""
    return {
        "host": server.host, "port": port, "user": user or server.user, "password": server.password,
        "database": database, "ca_file": server.ca_file,
    }  # fmt: skip


@pytest.mark.services
@pytest.mark.timeout(900)
def test_ordinary_work_on_real_servers_raises_no_alert(
    postgresql: Server, mariadb: Server, mariadb_database: str, redis_server: Server, redis_prefix: str,
    rabbitmq: Server, kafka: Server, kafka_topic: Callable[..., str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    topic = kafka_topic("orders", partitions=2)
    with contextlib.ExitStack() as stack:
        servers = {
            one: stack.enter_context(ordinary(postgresql)) for one in ("psycopg", "psycopg2", "django", "listeners")
        }
        servers |= {
            "mariadb": describe_server(mariadb, mariadb.tls_port, urlsplit(mariadb_database).path[1:]),
            "redis": describe_server(redis_server, redis_server.tls_port, redis_prefix),
            "rabbitmq": describe_server(rabbitmq, rabbitmq.tls_port, topic),
            "kafka": describe_server(kafka, kafka.sasl_port, topic),
        }  # fmt: skip
        monkeypatch.setenv(SERVERS, json.dumps(servers))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
        since_ns = (time.time_ns() - BEGINS_NS) % DAY_NS
        since_ns += 0 if since_ns > 2 * HOUR_NS else DAY_NS  # it must be over
        monkeypatch.setattr(hour, "_GAP_NS", since_ns - HOUR_NS)
        runs = runs_of(workloads())
        run_quiet_hour(runs, lambda _: None)
    assert len({run.workload for run in runs}) >= 5
    findings = [(run.name, one) for run in runs for one in run.false_alerts if one.rule not in RIGHTLY]
    assert [(run.name, run.outcome) for run in runs if run.outcome] == []
    assert not findings, "\n".join(
        f"{name}: {one.rule} {one.count} {one.key}: {dict(one.evidence)}" for name, one in findings
    )
    assert all(run.calls > 200 for run in runs)
