"""moto's AWS services in a separate process: one state, over HTTP and over HTTPS. Run by ``aws.py``."""

import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


class _Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"


def main(port: int, tls_port: int, certificate: str, key: str) -> None:
    """Serve until killed."""
    app = DomainDispatcherApplication(create_backend_app)
    servers = (
        make_server("127.0.0.1", port, app, threaded=True, request_handler=_Handler),
        make_server(
            "127.0.0.1", tls_port, app, threaded=True, request_handler=_Handler, ssl_context=(certificate, key)
        ),
    )
    for server in servers:
        threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
