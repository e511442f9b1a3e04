"""Redis in cluster mode: two masters, which share the slots between them."""

import contextlib
import socket
import time
from collections.abc import Generator
from pathlib import Path

from tests.services.authority import Authority
from tests.services.process import StartError, binary, free_port, private_folder, run_process
from tests.services.server import HOST, Fixture, Server, accepts

FIXTURE = Fixture("redis_cluster", kind="redis_cluster", port=6379)
EPHEMERAL = 32_768
MIDDLE = 8_192
"""The first slot of the second node."""


def _free_ports() -> int:
    """Return a port whose cluster bus port is free too."""
    for _ in range(100):
        port = free_port()
        # Below the ports of outgoing connections: one of them can block a port without listening.
        if port + 10_000 < EPHEMERAL and not accepts(port + 10_000)():
            return port
    raise StartError("no free port on loopback")


def _command(server: str, port: int, folder: Path) -> list[str]:
    return [server, "--port", str(port), "--bind", HOST, "--dir", str(folder), "--save", "", "--appendonly", "no",
            "--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{port}.conf"]  # fmt: skip


def _send_line(port: int, line: str) -> bytes:
    """Send by hand: a driver may be observed while a fixture is created."""
    with socket.create_connection((HOST, port), timeout=10) as one:
        one.sendall(line.encode() + b"\r\n")
        return one.recv(1 << 16)


def _join(ports: list[int]) -> None:
    _send_line(ports[0], f"CLUSTER ADDSLOTSRANGE 0 {MIDDLE - 1}")
    _send_line(ports[1], f"CLUSTER ADDSLOTSRANGE {MIDDLE} 16383")
    _send_line(ports[0], f"CLUSTER MEET {HOST} {ports[1]}")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        replies = [_send_line(port, "CLUSTER INFO") for port in ports]
        if all(b"cluster_state:ok" in one and b"cluster_known_nodes:2" in one for one in replies):
            return
        time.sleep(0.05)
    raise StartError("the nodes did not find each other")


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``redis_cluster`` is shared by the whole run."""
    server, ports = binary("redis", "redis-server"), [_free_ports(), _free_ports()]
    with contextlib.ExitStack() as stack:
        for port in ports:
            folder = stack.enter_context(private_folder("redis"))
            stack.enter_context(run_process(_command(server, port, folder), folder=folder, ready=accepts(port)))
        _join(ports)
        yield Server(kind="redis_cluster", port=ports[0], url=f"redis://{HOST}:{ports[0]}")
