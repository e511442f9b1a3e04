"""A PostgreSQL primary and its streaming standby, for failover."""

import contextlib
import os
import signal
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from tests.services.databases import fresh_database
from tests.services.databases.postgresql import programs
from tests.services.process import account, binary, free_port, password, prepare, private_folder, run_process, write
from tests.services.server import HOST

SETTINGS = """
listen_addresses = '{host}'
unix_socket_directories = '{folder}'
fsync = off
max_connections = 40
wal_receiver_status_interval = 1s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One of the two servers."""

    url: str
    port: int
    folder: Path
    pid: int

    def kill(self) -> None:
        """End it as a power failure would."""
        os.kill(self.pid, signal.SIGKILL)

    def execute(self, statement: str) -> None:
        """Run one statement."""
        fresh_database.postgresql_sql(self.url, statement)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both servers, and the URL of the one that accepts writes."""

    primary: Node
    standby: Node
    url: str

    def fail_over(self) -> None:
        """Kill the primary and promote the standby."""
        self.primary.kill()
        self.standby.execute("select pg_promote(true, 60)")


@contextlib.contextmanager
def serve_pair(*, synchronous: bool) -> Generator[Pair]:
    """Start a primary and a standby; with ``synchronous``, no commit is acknowledged before the standby has it."""
    user, secret = account("postgres"), password()
    ports = free_port(), free_port()
    initdb, basebackup = (binary("postgresql", name, *programs()) for name in ("initdb", "pg_basebackup"))
    with private_folder("postgresql", user) as one, private_folder("postgresql", user) as two:
        first = f"postgresql://backwatch:{secret}@{HOST}:{ports[0]}/postgres"
        prepare([initdb, "-D", str(one / "data"), "-A", "scram-sha-256", "-U", "backwatch", "--no-sync",
                 "--locale=C.UTF-8", "-E", "UTF8", "--pwfile", str(write(one / "password", secret, user))],
                one, user)  # fmt: skip
        with (one / "data" / "postgresql.auto.conf").open("a") as settings:
            settings.write(SETTINGS.format(host=HOST, folder=one))
        with _start(one, ports[0], secret, user) as primary:
            prepare([basebackup, "-D", str(two / "data"), "-d", f"{first}?application_name=standby", "-R",
                     "-c", "fast", "--no-sync"], two, user)  # fmt: skip
            with (two / "data" / "postgresql.auto.conf").open("a") as settings:
                settings.write(SETTINGS.format(host=HOST, folder=two))
            with _start(two, ports[1], secret, user) as standby:
                if synchronous:
                    primary.execute("alter system set synchronous_standby_names = '*'")
                    primary.execute("alter system set synchronous_commit = remote_apply")
                    primary.execute("select pg_reload_conf()")
                    primary.execute("create table replicated (id integer)")  # returns once the standby has it
                hosts = f"{HOST}:{ports[0]},{HOST}:{ports[1]}"
                url = f"postgresql://backwatch:{secret}@{hosts}/postgres?target_session_attrs=read-write"
                yield Pair(primary=primary, standby=standby, url=url)


@contextlib.contextmanager
def _start(folder: Path, port: int, secret: str, user: str | None) -> Generator[Node]:
    postgres = binary("postgresql", "postgres", *programs())
    with run_process(
        [postgres, "-D", str(folder / "data"), "-p", str(port)], folder=folder, user=user, stop="QUIT",
        ready=lambda: "ready to accept" in (folder / "log.txt").read_text(),
    ):  # fmt: skip
        pid = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        url = f"postgresql://backwatch:{secret}@{HOST}:{port}/postgres"
        yield Node(url=url, port=port, folder=folder, pid=pid)
