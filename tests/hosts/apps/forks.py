"""Forks children, eight at a time, while threads make calls; each makes one of its own and leaves as it should."""

import os
import signal
import sys
import threading
import time

import redis

PATIENCE_S = 60.0
AT_ONCE = 8


def ask(name: str) -> None:
    """One command on a connection of its own."""
    cache = redis.Redis.from_url(os.environ["SHOP_REDIS_URL"])
    cache.get(f"{name}:1")
    cache.close()


def child(name: str) -> None:
    """What a child does; it leaves through ``atexit``, so what it asked must still arrive."""
    signal.alarm(int(PATIENCE_S))  # the signal ends a process that hangs
    ask(name)
    sys.exit(0)


def main() -> None:
    """``forks.py NAMES`` prints what went wrong."""
    ask("first")  # what the driver imports late is there before the first fork
    done = threading.Event()

    def go_on() -> None:
        while not done.is_set():
            ask("meanwhile")
            time.sleep(0.01)

    threads = [threading.Thread(target=go_on, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    waiting = list(reversed(sys.argv[1:]))
    children: dict[int, str] = {}
    while waiting or children:
        while waiting and len(children) < AT_ONCE:
            name = waiting.pop()
            pid = os.fork()
            if pid == 0:
                child(name)
            children[pid] = name
        pid, status = os.wait()
        name = children.pop(pid)
        if status:
            print(name, status)
    done.set()
    for thread in threads:
        thread.join()


main()
