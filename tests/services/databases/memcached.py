"""memcached: one process with plaintext and TLS ports, and one on a unix socket, since it does not mix them."""

import contextlib
from collections.abc import Generator

from tests.services.authority import Authority
from tests.services.process import account, binary, free_port, private_folder, run_process, write
from tests.services.server import HOST, Fixture, Server, accepts

FIXTURE = Fixture("memcached", kind="memcached", port=11211)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``memcached`` is shared by the whole run."""
    server, user = binary("memcached", "memcached"), account("nobody")
    port, tls_port, certificate = free_port(), free_port(), ca.issue()
    with private_folder("memcached", user) as folder:
        command = [
            server, "-U", "0", "-l", f"notls:{HOST}:{port}", "-l", f"{HOST}:{tls_port}", "-Z",
            "-o", f"ssl_chain_cert={write(folder / 'certificate.pem', certificate.certificate_file.read_text(), user)}",
            "-o", f"ssl_key={write(folder / 'key.pem', certificate.key_file.read_text(), user)}",
        ]  # fmt: skip
        socket = folder / "socket"
        with (
            private_folder("memcached", user) as other,
            run_process([server, "-s", str(socket)], folder=other, user=user, ready=socket.exists),
            run_process(command, folder=folder, user=user, ready=accepts(port)),
        ):
            yield Server(
                kind="memcached", port=port, tls_port=tls_port, ca_file=str(ca.ca_file), socket=str(socket),
                url=f"memcached://{HOST}:{port}", tls_url=f"memcacheds://{HOST}:{tls_port}",
            )  # fmt: skip
