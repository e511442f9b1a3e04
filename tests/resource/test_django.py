"""Django with attached databases, caches and mail, on real servers."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.services.internet.smtp import MailServer
from tests.services.server import Server

SETTINGS = """
import django
from django.conf import settings

from backwatch.resource.django import attach_cache, attach_database

settings.configure(
    DATABASES={"default": attach_database("DATABASE_URL")}, CACHES={"default": attach_cache("CACHE_URL")},
    EMAIL_BACKEND="backwatch.resource.django.mail.EmailBackend", DEFAULT_FROM_EMAIL="shop@shop.example", USE_TZ=True,
)
django.setup()
"""


def run_app(script: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "BACKWATCH_RESOURCE_TLS_ON_LOOPBACK": "required", **variables}
    return subprocess.run(
        [sys.executable, "-c", SETTINGS + script], env=environment, capture_output=True, text=True, timeout=90,
        check=False,
    )  # fmt: skip


def name_urls(postgresql: Server, redis_server: Server, smtp_server: MailServer) -> dict[str, str]:
    login = urlsplit(redis_server.url).netloc.rpartition("@")[0]
    return {
        "BACKWATCH_RESOURCE_CA": postgresql.ca_file,
        "DATABASE_URL": postgresql.url.replace("127.0.0.1", "localhost"),
        "CACHE_URL": f"rediss://{login}@localhost:{redis_server.tls_port}/0",
        "MAIL_URL": f"smtp://{smtp_server.user}:{smtp_server.password}@localhost:{smtp_server.port}/",
    }  # fmt: skip


WORK = """
import datetime
from django.core.cache import cache
from django.core.mail import send_mail
from django.db import connection, models, transaction

with connection.cursor() as cursor:
    cursor.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
    assert cursor.fetchone() == (True,)
with transaction.atomic(), connection.cursor() as cursor:
    cursor.execute("create temporary table notes (id int, body jsonb)")
    cursor.execute("insert into notes values (%s, %s)", [1, '{"a": 1}'])
    cursor.execute("select count(*) from notes")
    assert cursor.fetchone() == (1,)
cache.set("attached", {"total": 7, "at": datetime.date(2026, 1, 2)}, 30)
assert cache.get("attached") == {"total": 7, "at": "2026-01-02"}
cache.set("count", 1)
assert cache.incr("count") == 2
assert send_mail("Order", "On its way.", None, ["one@shop.example"]) == 1
print("done")
"""


@pytest.mark.services("postgresql", "redis_server")
def test_databases_caches_and_mail_work_attached(
    postgresql: Server, redis_server: Server, smtp_server: MailServer
) -> None:
    done = run_app(WORK, **name_urls(postgresql, redis_server, smtp_server))
    assert done.stdout == "done\n", done.stderr[-2000:]


@pytest.mark.services("postgresql", "redis_server")
@pytest.mark.parametrize(
    "call",
    [
        "from django.db import connection; connection.ensure_connection()",
        "from django.core.cache import cache; cache.get('key')",
        "from django.core.mail import send_mail; send_mail('a', 'b', None, ['one@shop.example'], fail_silently=True)",
    ],
    ids=["database", "cache", "mail"],
)
def test_unverified_services_are_refused(
    postgresql: Server, redis_server: Server, smtp_server: MailServer, call: str
) -> None:
    urls = name_urls(postgresql, redis_server, smtp_server) | {"BACKWATCH_RESOURCE_CA": "system"}
    done = run_app(call, **urls)
    assert done.returncode != 0
    assert "ResourceUnsafe" in done.stderr
    assert postgresql.password not in done.stderr


@pytest.mark.services("postgresql", "redis_server")
def test_pickle_from_the_cache_runs_nothing(
    postgresql: Server, redis_server: Server, smtp_server: MailServer, tmp_path: Path
) -> None:
    import redis
    from django.core.cache.backends.base import default_key_func

    ran = tmp_path / "ran"
    bomb = f"cposix\nsystem\n(S'touch {ran}'\ntR.".encode()
    client = redis.Redis(port=redis_server.port)
    client.set(default_key_func("bomb", "", 1), bomb, ex=60)
    done = run_app(
        "from django.core.cache import cache; cache.get('bomb')", **name_urls(postgresql, redis_server, smtp_server)
    )
    assert done.returncode != 0
    assert not ran.exists()
