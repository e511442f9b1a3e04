"""What the three apps share besides their databases: arguments, pages, and the server."""

import html
import sys
from collections.abc import Iterable
from typing import Any

from tests.services.server import HOST


def page(rows: Iterable[Any]) -> str:
    """Return a page with a table of rows."""
    lines = ("".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in rows)
    return "<h1>The library</h1><table>" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def arguments() -> tuple[str, int]:
    """Return the database's URL and the port to serve."""
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m bench.campaigns.apps.NAME URL PORT")
    return sys.argv[1], int(sys.argv[2])


def serve(app: Any, port: int) -> None:
    """Serve a WSGI app until the process is terminated."""
    from werkzeug.serving import make_server

    server = make_server(HOST, port, app, threaded=True)
    print("ready", flush=True)
    server.serve_forever()
