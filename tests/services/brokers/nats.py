"""NATS: a plaintext server with JetStream, and a TLS cluster of two servers that announce each other."""

import contextlib
import socket
from collections.abc import Callable, Generator
from pathlib import Path

from tests.services.authority import Authority
from tests.services.process import binary, free_port, password, private_folder, run_process, write
from tests.services.server import HOST, Fixture, Server, accepts

USER = "app"
LIMITED = "limited"
"""An account that may neither publish nor subscribe below ``private``; its password is the other's."""
SETTINGS = """
server_name: backwatch-{name}
listen: "{host}:{port}"
accounts: {{
  APP: {{ {stream} users: [
    {{ user: {user}, password: "{secret}" }},
    {{ user: {limited}, password: "{secret}", permissions: {{
      publish: {{ deny: "private.>" }}, subscribe: {{ deny: "private.>" }}
    }} }},
  ] }}
}}
"""
STREAMS = """
jetstream: {{ store_dir: "{folder}/streams", max_memory_store: 64MB, max_file_store: 64MB }}
"""
SECURE = """
tls: {{ cert_file: "{certificate}", key_file: "{key}", timeout: 5 }}
cluster: {{ name: backwatch, listen: "{host}:{own}", routes: ["nats://{host}:{others}"] }}
"""

FIXTURE = Fixture("nats", kind="nats", port=4222)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run separate servers; the fixture ``nats`` is shared by the whole run."""
    program, secret, certificate = binary("nats", "nats-server"), password(), ca.issue()
    port, tls_port, peers = free_port(), free_port(), (free_port(), free_port())
    common = {"host": HOST, "user": USER, "limited": LIMITED, "secret": secret}

    def secure(folder: Path, name: str, port: int, own: int, others: int) -> Path:
        more = SECURE.format(
            host=HOST, own=own, others=others,
            certificate=write(folder / "certificate.pem", certificate.certificate_file.read_text(), None),
            key=write(folder / "key.pem", certificate.key_file.read_text(), None),
        )  # fmt: skip
        return write(folder / "nats.conf", SETTINGS.format(name=name, port=port, stream="", **common) + more, None)

    with private_folder("nats") as folder, private_folder("nats") as one, private_folder("nats") as other:
        plain = SETTINGS.format(name="plain", port=port, stream="jetstream: enabled,", **common)
        plain = write(folder / "nats.conf", plain + STREAMS.format(folder=folder), None)
        first = secure(one, "one", tls_port, peers[0], peers[1])
        second = secure(other, "other", free_port(), peers[1], peers[0])
        with (
            run_process([program, "-c", str(plain)], folder=folder, ready=accepts(port)),
            run_process([program, "-c", str(first)], folder=one, ready=accepts(tls_port)),
            run_process([program, "-c", str(second)], folder=other, ready=_announces(tls_port)),
        ):
            yield Server(
                kind="nats", port=port, tls_port=tls_port, user=USER, password=secret, ca_file=str(ca.ca_file),
                url=f"nats://{USER}:{secret}@{HOST}:{port}", tls_url=f"tls://{USER}:{secret}@localhost:{tls_port}",
            )  # fmt: skip


def _announces(port: int) -> Callable[[], bool]:
    """Return a check whether the server knows the other one."""

    def announcing() -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1) as client:
            return b'"connect_urls"' in client.recv(4096)
        return False

    return announcing
