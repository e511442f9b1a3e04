"""Wherever an app runs, each of its calls comes once, from the process that made it, and nothing hangs."""

import dataclasses
import json
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import ensure_topics
from tests.hosts.hosting import Host, host, labels, twice, visit
from tests.services.process import free_port
from tests.services.server import Server, accepts
from tests.services.waiting import wait_until

pytestmark = pytest.mark.slow
FORKS = int(os.environ.get("BACKWATCH_TEST_FORKS", "40"))
"""Each has a client of Kafka of its own; 500 without one: tests/collector/pipeline/test_pipeline_forks.py."""


@pytest.fixture
def shop(
    tmp_path: Path, kafka_without_topics: Server, mariadb: Server, redis_server: Server, postgresql: Server
) -> Iterator[Host]:
    ensure_topics(StreamSettings(url=kafka_without_topics.url, partitions=1), (names.TOPIC_CALLS,))
    one = host(tmp_path, kafka_without_topics.url, mariadb, redis_server, postgresql)
    yield one
    if one.log.exists():
        assert "Traceback" not in one.log.read_text(errors="replace")


def with_setting(one: Host, **settings: str) -> Host:
    return dataclasses.replace(one, settings=one.settings | settings)


def serve_and_visit(one: Host, port: int, *command: str, is_idle: Callable[[], bool] = lambda: True) -> dict[str, str]:
    """Which process answered each request: sixty, and sixty more as long as one process answers them all.

    Args:
        one: The app.
        port: It listens there.
        command: Its host.
        is_idle: Whether the host has done with all requests, some of which its clients may have left already.
    """
    with one.serve(*command):
        wait_until(accepts(port), f"{command[0]} does not listen:\n{one.log.read_text(errors='replace')[-2000:]}", 60)
        answers: dict[str, str] = {}
        for at in range(0, 600, 60):
            answers |= visit(port, labels(600)[at : at + 60])
            if len(set(answers.values())) > 1:
                break
        wait_until(is_idle, f"{command[0]} has not done with its requests", 60)
        return answers


def at_import(one: Host, answers: dict[str, str], *, preload: bool) -> None:
    """Each call arrived once; calls during the app's import came from the process that imported it."""
    expected = twice(answers)
    found = one.until_asked(expected)
    first = Counter({key: count for key, count in found.items() if key[0].endswith("import")})
    assert found - first == expected
    assert len(set(answers.values())) == 2
    workers = {int(pid) for pid in answers.values()}
    importers = {pid for _, pid in first}
    assert set(first.values()) == {1}
    if preload:
        assert len(importers) == 1
        assert not importers & workers
    else:
        assert workers <= importers


@pytest.mark.parametrize("preload", [False, True], ids=["each", "preload"])
@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_every_call_under_gunicorn_comes_once_from_its_worker(shop: Host, kind: str, preload: bool) -> None:
    port = free_port()
    one = with_setting(shop, SHOP_AT_IMPORT="import")
    threads = ["--threads", "4"] if kind == "gthread" else []
    answers = serve_and_visit(
        one, port, "gunicorn", "-w", "2", "-k", kind, "-b", f"127.0.0.1:{port}", *threads,
        *(["--preload"] if preload else []), "shop:application",
    )  # fmt: skip
    at_import(one, answers, preload=preload)


def test_every_call_under_uvicorn_comes_once_from_its_worker(shop: Host) -> None:
    port = free_port()
    # Its workers end themselves by the signal that asked them to leave, before any flush is due.
    one = with_setting(shop, BACKWATCH_COLLECTOR_FLUSH_INTERVAL_S="30")
    answers = serve_and_visit(
        one, port, "uvicorn", "--workers", "2", "--port", str(port), "--lifespan", "off", "--log-level", "warning",
        "shop:asgi",
    )  # fmt: skip
    expected = Counter({(name, int(pid)): 1 for name, pid in answers.items()})
    assert shop.until_asked(expected) == expected


@pytest.mark.parametrize("lazy", [False, True], ids=["preload", "lazy"])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_call_under_uwsgi_comes_once_from_its_worker(shop: Host, uwsgi: str, threads: int, lazy: bool) -> None:
    port, stats_port = free_port(), free_port()

    def is_idle() -> bool:
        with socket.create_connection(("127.0.0.1", stats_port)) as one, one.makefile("rb") as stats:
            return not any(core["in_request"] for worker in json.load(stats)["workers"] for core in worker["cores"])

    one = with_setting(shop, SHOP_AT_IMPORT="import")
    answers = serve_and_visit(
        one, port, uwsgi, "--http-socket", f"127.0.0.1:{port}", "--master", "--processes", "2", "--enable-threads",
        # Where the signal that ends it finds a worker in a request, even at its last line, uWSGI runs no exit hooks.
        "--stats", f"127.0.0.1:{stats_port}",
        "--threads", str(threads), "--module", "shop", "--need-app", "--die-on-term", "--pythonpath", ".",
        "--home", sys.prefix,
        *(["--lazy-apps"] if lazy else []), is_idle=is_idle,
    )  # fmt: skip
    at_import(one, answers, preload=not lazy)


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_every_call_of_a_celery_worker_comes_once(shop: Host, pool: str, redis_prefix: str) -> None:
    one = with_setting(shop, SHOP_BROKER_URL=shop.settings["SHOP_REDIS_URL"])
    queue = redis_prefix.rstrip(":")
    wanted = labels(120)
    send = "import sys, tasks\nsent = [tasks.asked.apply_async((name,), queue=sys.argv[1]) for name in sys.argv[2:]]\n"
    read = "print('\\n'.join(one.get(timeout=60) for one in sent))"
    with one.serve("celery", "-A", "tasks", "worker", "-P", pool, "-c", "2", "-Q", queue, "-l", "WARNING"):
        quiet = with_setting(one, BACKWATCH_ENABLED="false")
        answers = dict(zip(wanted, quiet.run_program("python", "-c", send + read, queue, *wanted).split(), strict=True))
    expected = twice(answers)
    found = one.until_asked(expected)
    assert Counter({key: count for key, count in found.items() if key[0] in list_names(expected)}) == expected
    assert len(set(answers.values())) == (2 if pool == "prefork" else 1)


def list_names(expected: Counter[tuple[str, int]]) -> set[str]:
    return {name for name, _ in expected}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_call_of_multiprocessings_workers_comes_once(shop: Host, method: str) -> None:
    wanted = labels(30)
    answers = dict(zip(wanted, shop.run_program("python", "pool.py", method, *wanted).split(), strict=True))
    expected = twice(answers)
    found = shop.until_asked(expected)
    meanwhile = {key: count for key, count in found.items() if key[0].endswith("meanwhile")}
    assert found - Counter(meanwhile) == expected
    assert len({pid for _, pid in meanwhile}) == 1
    assert len(set(answers.values())) > 1


@pytest.mark.parametrize("kind", ["gevent", "eventlet"])
def test_every_call_of_greenlets_comes_once(shop: Host, kind: str) -> None:
    wanted = labels(60)
    answers = dict(
        zip(wanted, shop.run_program("python", "-W", "ignore", "green.py", kind, *wanted).split(), strict=True)
    )
    expected = twice(answers)
    assert shop.until_asked(expected) == expected


def test_of_many_forks_none_hangs_and_each_child_delivers_its_call(shop: Host) -> None:
    wanted = labels(FORKS)
    assert shop.run_program("python", "forks.py", *wanted, timeout_s=170) == ""
    others = {"redis:meanwhile", "redis:first"}
    children = {name: count for (name, _), count in shop.count_asked().items() if name not in others}
    assert children == {f"redis:{name}": 1 for name in wanted}
