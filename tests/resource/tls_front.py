"""A TLS listener in front of a real plaintext server: the server's protocol under any certificate and version."""

import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Generator

from tests.services.authority import Certificate
from tests.services.server import HOST

BUFFER = 65_536


@contextlib.contextmanager
def serve(upstream_port: int, certificate: Certificate, *, newest: ssl.TLSVersion | None = None,
          oldest: ssl.TLSVersion | None = None) -> Generator[int]:  # fmt: skip
    """Listen on a free port and pass decrypted bytes on; return the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are the point
        context.minimum_version = oldest or context.minimum_version
        context.maximum_version = newest or context.maximum_version
    with socket.create_server((HOST, 0)) as listener:
        threading.Thread(target=_accept, args=(listener, context, upstream_port), daemon=True).start()
        yield listener.getsockname()[1]


def _accept(listener: socket.socket, context: ssl.SSLContext, upstream_port: int) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, context, upstream_port), daemon=True).start()


def _serve(connection: socket.socket, context: ssl.SSLContext, upstream_port: int) -> None:
    with contextlib.suppress(OSError, ValueError), connection:
        connection.settimeout(20)
        with (
            context.wrap_socket(connection, server_side=True) as session,
            socket.create_connection((HOST, upstream_port)) as upstream,
        ):
            session.settimeout(None)
            back = threading.Thread(target=_pump, args=(upstream, session), daemon=True)
            back.start()
            _pump(session, upstream)
            back.join(20)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while data := source.recv(BUFFER):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
