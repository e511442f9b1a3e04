"""Redis: plain, TLS and unix socket, with an account beside the open default one."""

import contextlib
from collections.abc import Generator

from tests.services.authority import Authority
from tests.services.process import binary, free_port, password, private_folder, run_process, write
from tests.services.server import HOST, Fixture, Server, accepts

USER = "app"
SETTINGS = """
bind {host}
port {port}
tls-port {tls_port}
tls-cert-file {certificate}
tls-key-file {key}
tls-ca-cert-file {ca}
tls-auth-clients no
unixsocket {socket}
dir {folder}
save ""
user default on nopass ~* &* +@all
user {user} on >{secret} ~* &* +@all
"""

FIXTURE = Fixture("redis_server", kind="redis", port=6379)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``redis_server`` is shared by the whole run."""
    server = binary("redis", "redis-server")
    port, tls_port, secret, certificate = free_port(), free_port(), password(), ca.issue()
    with private_folder("redis") as folder:
        settings = write(folder / "redis.conf", SETTINGS.format(
            host=HOST, port=port, tls_port=tls_port, folder=folder, socket=folder / "socket", user=USER, secret=secret,
            certificate=certificate.certificate_file, key=certificate.key_file, ca=ca.ca_file,
        ))  # fmt: skip
        with run_process([server, str(settings)], folder=folder, ready=accepts(tls_port)):
            yield Server(
                kind="redis", port=port, tls_port=tls_port, user=USER, password=secret, ca_file=str(ca.ca_file),
                url=f"redis://{USER}:{secret}@{HOST}:{port}/0", socket=str(folder / "socket"),
                tls_url=f"rediss://{USER}:{secret}@{HOST}:{tls_port}/0?ssl_ca_certs={ca.ca_file}",
            )  # fmt: skip
