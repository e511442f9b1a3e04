"""A Redis Sentinel and the master ``main`` that it watches."""

import contextlib
from collections.abc import Generator

from tests.services.authority import Authority
from tests.services.process import binary, free_port, private_folder, run_process, write
from tests.services.server import HOST, Fixture, Server, accepts

FIXTURE = Fixture("redis_sentinel", kind="redis_sentinel", port=26379)
MASTER = "main"
SETTINGS = """
bind {host}
port {port}
dir {folder}
sentinel monitor {master} {host} {master_port} 1
"""


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``redis_sentinel`` is shared by the whole run."""
    server, port, master_port = binary("redis", "redis-server"), free_port(), free_port()
    with private_folder("redis") as folder, private_folder("sentinel") as own:
        settings = write(own / "sentinel.conf", SETTINGS.format(
            host=HOST, port=port, folder=own, master=MASTER, master_port=master_port,
        ))  # fmt: skip
        master = [server, "--port", str(master_port), "--bind", HOST, "--dir", str(folder), "--save", ""]
        with (
            run_process(master, folder=folder, ready=accepts(master_port)),
            run_process([server, str(settings), "--sentinel"], folder=own, ready=accepts(port)),
        ):
            yield Server(kind="redis_sentinel", port=port, url=f"redis://{HOST}:{port}")
