"""Typical calls of an app that uses Django, on drivers without a probe here: sqlite3, psycopg, pymemcache."""

from collections.abc import Callable
from typing import Any

import django
import django.utils.translation
from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.memcached import PyMemcacheCache
from django.db import DatabaseError, connections
from django.db.utils import ConnectionHandler

SERVICES = ("postgresql", "memcached")

if not settings.configured:
    settings.configure(USE_TZ=True)
    django.setup()
django.utils.translation.gettext("")  # imports its dependencies the first time
for aliases in (caches, connections):
    aliases["default"]  # created at any first access, even to its type


def databases(server: Any, **changes: object) -> Any:
    """A connection for each: ``default`` on sqlite3, ``other`` on PostgreSQL."""
    other = {"ENGINE": "django.db.backends.postgresql", "HOST": server.host, "PORT": server.port, "USER": server.user,
             "PASSWORD": server.password, "NAME": "postgres", **changes}  # fmt: skip
    return ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}, "other": other})


def cache_of(server: Any, **options: Any) -> Any:
    return PyMemcacheCache(f"{server.host}:{server.port}", {"OPTIONS": options})


def calls(services: dict[str, Any]) -> list[object]:
    handler = databases(services["postgresql"])
    seen = [*_work(handler["default"]), *_work(handler["other"])]
    cache = cache_of(services["memcached"])
    cache.set("a", {"b": 1})
    cache.set_many({"c": 2, "d": [3]})
    seen += [cache.get("a"), cache.get_many(["c", "d", "none"]), cache.add("a", 1), cache.incr("c"), cache.delete("a")]
    seen.append(cache.get("a", "gone"))
    cache.clear()
    cache.close()
    return seen


def _work(connection: Any) -> list[object]:
    from django.db.transaction import Atomic

    seen: list[object] = []
    with connection.cursor() as cursor:
        cursor.execute("create temporary table item (id integer, name text)")
        cursor.executemany("insert into item values (%s, %s)", [(1, "a"), (2, "b"), (3, "c")])
        cursor.execute("select name from item where id > %s", [1])
        seen += [cursor.fetchone(), cursor.fetchmany(5), cursor.fetchall()]
        cursor.execute("update item set name = 'x'")
        seen.append(cursor.rowcount)
        seen.append([tuple(row) for row in cursor.execute("select 1") or cursor])
    connection.set_autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute("delete from item")
    connection.commit()
    connection.rollback()
    connection.set_autocommit(True)
    seen.append(Atomic.__name__)
    try:
        connection.cursor().execute("select * from nothing")
    except DatabaseError as error:
        seen.append((type(error).__name__, type(error.__cause__).__name__))
    connection.close()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["postgresql"]

    def dead() -> object:
        return PyMemcacheCache("127.0.0.1:1", {}).get("a")

    return [
        databases(server, PASSWORD="wrong")["other"].ensure_connection,
        databases(server, PORT=1)["other"].ensure_connection,
        lambda: databases(server)["default"].cursor().execute("selec 1"),
        lambda: databases(server)["default"].cursor().execute("select %s", []),
        lambda: databases(server)["default"].cursor().execute(),
        lambda: databases(server)["default"].cursor().execute(42),
        lambda: cache_of(services["memcached"]).incr("nothing"),
        lambda: cache_of(services["memcached"]).get("\n"),
        dead,
    ]
