"""Frames of what serves an app. Beyond them stands who started the process, which made no call.

An app's server calls the app; so a call of a library that has no frame of the app below its server, like one of a
framework's own admin pages, would be one of the start script.
"""

from typing import Final

_SERVERS: Final = (
    "aiohttp/web", "billiard", "celery/app/trace", "celery/bin", "celery/concurrency", "celery/worker", "cheroot",
    "daphne", "django/core/handlers/wsgi", "django/core/handlers/asgi", "django/core/servers", "dramatiq/worker",
    "eventlet/wsgi", "flask/app", "gevent/pywsgi", "granian", "gunicorn", "http/server", "huey/consumer", "hypercorn",
    "rq/worker", "sanic/server", "socketserver", "starlette/applications", "tornado/httpserver", "tornado/web",
    "uvicorn", "waitress", "werkzeug/serving", "wsgiref",
)  # fmt: skip
_FOUND: Final = tuple(f"/{server}{end}" for server in _SERVERS for end in ("/", ".py", "_"))


def is_runner(file: str) -> bool:
    """Return whether a file of a library or the standard library belongs to a server.

    >>> is_runner("/venv/lib/site-packages/gunicorn/workers/sync.py"), is_runner("/usr/lib/python3.12/socketserver.py")
    (True, True)
    >>> is_runner("/venv/lib/site-packages/redis/client.py"), is_runner("/venv/lib/site-packages/celery/app/base.py")
    (False, False)
    """
    return any(server in file for server in _FOUND)
