"""The app of ``forks``: it forks children while every step of the collector's threads is slowed at random.

Locks that no fork repairs stand for those of the C library's resolver, of OpenSSL, of SQLite and of a stream in use.
Each thread that takes such a step holds its lock for a random time; the import locks are Python's own. A child takes
each lock itself, as an app would, and then delivers a call.

    python -m bench.forks_app FORKS SEED    prints {"forks", "hung", "undelivered", "longest_fork_s"}
"""

import faulthandler
import json
import logging
import os
import random
import signal
import socket
import ssl
import sys
import threading
import time
import uuid
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

AT_ONCE: Final = 8
PATIENCE_S: Final = 40.0
"""After which a child that has not ended is hung."""
LOCKS: Final = {name: threading.Lock() for name in ("resolver", "tls", "sqlite", "log")}
_chance: Final = random.Random()
logger = logging.getLogger(__name__)


def slow_down() -> None:
    """Sleep for some milliseconds, rarely for a quarter of a second."""
    time.sleep(_chance.choices((0.0, _chance.uniform(0, 0.02), _chance.uniform(0, 0.25)), (6, 3, 1))[0])


def slow(function: Callable[..., Any], lock: str = "") -> Callable[..., Any]:
    """Return the function, slowed down, while the lock of that name is held."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if not lock:
            slow_down()
            return function(*args, **kwargs)
        with LOCKS[lock]:
            slow_down()
            return function(*args, **kwargs)

    return call


class SlowFinder:
    """Slow down each import while the module's lock is held."""

    def find_spec(self, _name: str, _path: object = None, _target: object = None) -> None:
        """Find nothing."""
        if threading.current_thread() is not threading.main_thread():
            slow_down()


class SlowHandler(logging.Handler):
    """A handler with a stream in use."""

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        """Hold the lock for a while."""
        with LOCKS["log"]:
            slow_down()


def reconnect_often(publisher: Any, parent: int) -> None:
    """Make this kind of publisher lose its connection after every third batch, and fail at times in the parent."""
    publish = publisher.publish

    def published(self: Any, *args: Any) -> None:
        from backwatch.collector.stream import StreamUnavailable

        if os.getpid() == parent and _chance.random() < 0.05:
            raise StreamUnavailable("lost on purpose")
        publish(self, *args)
        if _chance.random() < 0.3:
            self.close(0.0)

    publisher.publish = published


def slow_down_everything(parent: int) -> None:
    """Install the delays, before the collector starts."""
    from backwatch.collector.runtime import import_hooks

    sys.meta_path.insert(0, SlowFinder())  # pyright: ignore[reportArgumentType]
    socket.getaddrinfo = slow(socket.getaddrinfo, "resolver")
    ssl.SSLSocket.do_handshake = slow(ssl.SSLSocket.do_handshake, "tls")  # pyright: ignore[reportAttributeAccessIssue]
    ssl.create_default_context = slow(ssl.create_default_context, "tls")
    uuid.uuid4 = slow(uuid.uuid4)
    os.urandom = slow(os.urandom)
    logging.basicConfig(handlers=[SlowHandler()])

    def slow_sqlite(module: ModuleType) -> None:
        kind: Any = module._Connection
        for name in ("execute", "executemany", "executescript", "close"):
            setattr(kind, name, _slow_method(getattr(kind, name)))

    import_hooks.on_import("backwatch.collector.stream.sqlite_file", slow_sqlite)
    import_hooks.on_import(
        "backwatch.collector.stream.sqlite", lambda module: reconnect_often(module.SqlitePublisher, parent)
    )
    import_hooks.on_import(
        "backwatch.collector.stream.kafka", lambda module: reconnect_often(module.KafkaPublisher, parent)
    )


def _slow_method(original: Callable[..., Any]) -> Callable[..., Any]:
    return slow(original, "sqlite")  # a function: it binds, which the original of a built-in class does not


def ask() -> None:
    """Make one call of the app."""
    import sqlite3

    sqlite3.connect(":memory:").execute("SELECT 1")


def live(seed: str) -> None:
    """Run a child: take every lock as an app may, then deliver a call."""
    from backwatch.collector.bootstrap import start

    signal.alarm(int(PATIENCE_S))
    faulthandler.dump_traceback_later(PATIENCE_S * 0.9)
    _chance.seed(seed)
    for lock in LOCKS.values():
        with lock:
            pass
    logger.warning("a line of the child's")
    ask()
    pipeline = start.start_pipeline()
    os._exit(0 if pipeline is not None and pipeline.flush(PATIENCE_S / 2) else 1)


def main() -> None:
    """Fork that many children; return their results."""
    forks, seed = int(sys.argv[1]), sys.argv[2]
    _chance.seed(seed)
    slow_down_everything(os.getpid())
    from backwatch.collector.bootstrap import start

    start.start()
    children: set[int] = set()
    hung = undelivered = 0
    longest_s = 0.0
    for at in range(forks + 1):
        while children and (len(children) >= AT_ONCE or at == forks):
            child, status = os.wait()
            children.discard(child)
            hung += os.WIFSIGNALED(status)
            undelivered += os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0
        if at < forks:
            ask()
            time.sleep(_chance.uniform(0, 0.1))
            begin = time.monotonic()
            child = os.fork()
            if child == 0:
                live(f"{seed}.{at}")
            longest_s = max(longest_s, time.monotonic() - begin)
            children.add(child)
    print(json.dumps({"forks": forks, "hung": hung, "undelivered": undelivered, "longest_fork_s": round(longest_s, 2)}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
