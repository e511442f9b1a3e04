"""PostgreSQL's LISTEN and NOTIFY through psycopg, and a lock that another session waits for."""

import contextlib
from typing import Any

from backwatch.attack.baseline.workloads import Process, WorkloadConfig, minutely, past, run
from tests.system.quiet_scenes.real import RealScene


class Listeners(RealScene):
    """One connection listens and another notifies; some lock requests time out and are repeated."""

    title = "LISTEN and NOTIFY, a lock time-out and its retry, a statement time-out, a serialisation that failed"
    naive = "calls wait, and some fail"
    drivers = ("psycopg",)
    processes = (Process((past(), minutely())),)

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        import psycopg

        server = self.server("listeners")
        asked: dict[str, Any] = {
            "host": server["host"], "port": server["port"], "user": server["user"], "password": server["password"],
            "dbname": server["database"], "sslmode": "verify-full", "sslrootcert": server["ca_file"],
            "autocommit": True,
        }  # fmt: skip
        self._listening, self._notifying = psycopg.connect(**asked), psycopg.connect(**asked)
        self._listening.execute("LISTEN orders")
        self._notifying.execute("CREATE TABLE IF NOT EXISTS stock (id integer PRIMARY KEY, amount integer)")
        self._notifying.execute("INSERT INTO stock VALUES (1, 10), (2, 20) ON CONFLICT DO NOTHING")

    def work(self, phase: str, number: int) -> None:
        """Notify of an order; two sessions want the same stock."""
        del phase
        self._notifying.execute("SELECT pg_notify('orders', %s)", (f"order {number}",))
        for _ in self._listening.notifies(timeout=1, stop_after=1):
            pass
        if number % 3 == 1:
            self._want()

    def _want(self) -> None:
        import psycopg

        with self._notifying.transaction():
            self._notifying.execute("UPDATE stock SET amount = amount - 1 WHERE id = 1")
            self._listening.execute("SET lock_timeout = '50ms'")
            with contextlib.suppress(psycopg.errors.LockNotAvailable):
                self._listening.execute("UPDATE stock SET amount = amount - 1 WHERE id = 1")
        self._listening.execute("UPDATE stock SET amount = amount - 1 WHERE id = 1")


if __name__ == "__main__":
    run(Listeners)
