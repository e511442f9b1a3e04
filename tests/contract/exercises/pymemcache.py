"""Typical calls of an app that uses pymemcache: one client, a pool, several servers; plain, TLS, a unix socket."""

import contextlib
import pickle
import ssl
from collections.abc import Callable
from typing import Any

import pymemcache.serde
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheError

from backwatch.attack.scenarios.memcached.other_key import OtherKeyMemcached
from backwatch.collector import names
from tests.services.faults.hostile import hostile

SERVICES = ("memcached",)
COMPRESSED: Any = getattr(pymemcache.serde, "CompressedSerde", None)
UNKNOWN = frozenset() if COMPRESSED else frozenset((names.PAYLOAD_WIRE, names.PAYLOAD_SIZE))


class Bomb:
    """A hostile cache's payload; it is never loaded here."""

    def __reduce__(self) -> Any:
        return vars(contextlib)["suppress"], ()


def context_of(server: Any) -> ssl.SSLContext:
    """Return the client of an app that verifies everything."""
    return ssl.create_default_context(cafile=server.ca_file)


def calls(services: dict[str, Any]) -> list[object]:
    server = services["memcached"]
    seen: list[object] = []
    tls = Client((server.host, server.tls_port), tls_context=context_of(server))
    seen += [tls.set("exercise:a", "1", noreply=False), tls.get("exercise:a"), bool(tls.version()), tls.get("none")]
    tls.close()
    seen += _one_by_one(Client((server.host, server.port), serde=pymemcache.serde.pickle_serde, key_prefix=b"app:"))
    seen += _one_by_one(PooledClient((server.host, server.port), serde=pymemcache.serde.pickle_serde))
    several = HashClient([(server.host, server.port), (server.host, server.port)])
    seen += [several.set_many({"exercise:a": b"1", "exercise:b": b"2"}, noreply=False)]
    seen += [several.get_many(["exercise:a", "exercise:b", "exercise:c"]), several.delete_many(["exercise:a"])]
    several.close()
    local = Client(server.socket)
    seen += [local.set("exercise:a", b"1"), local.get("exercise:a"), local.incr("exercise:a", 1)]
    local.close()
    if COMPRESSED:
        packed = Client((server.host, server.port), serde=COMPRESSED())
        seen += [packed.set("exercise:long", "word " * 1_000, noreply=False), packed.get("exercise:long")]
        packed.close()
    return [*seen, _of_another()]


def _of_another() -> str:
    """Read from a cache that replies with another key."""
    with hostile(OtherKeyMemcached) as (service, ca_file):
        context = ssl.create_default_context(cafile=ca_file)
        one = Client(("localhost", service.port), tls_context=context, timeout=5)
        try:
            return str(one.get("exercise:a"))
        except KeyError as error:
            return str(error)


def _one_by_one(client: Any) -> list[object]:
    bare = Client(client.server, key_prefix=client.key_prefix)
    seen: list[object] = [client.set("exercise:a", 1), client.get("exercise:a"), client.set("exercise:b", [1, 2])]
    seen.append(client.get("exercise:b"))
    seen.append(bare.set("exercise:bomb", b"!" + pickle.dumps(Bomb())))
    seen.append(bare.get("exercise:bomb"))
    seen.append(client.set_many({"exercise:c": "3", "exercise:d": 4}, noreply=False))
    seen.append(client.get_many(["exercise:c", "exercise:d", "exercise:none"]))
    seen.append(client.set("exercise:n", 5, noreply=False))
    seen.append([client.incr("exercise:n", 2), client.decr("exercise:n", 1)])
    value, token = client.gets("exercise:n")
    seen.append([value, client.cas("exercise:n", 9, token), client.cas("exercise:n", 9, b"1")])
    seen.append([client.add("exercise:n", 1, noreply=False), client.replace("exercise:n", 1, noreply=False)])
    seen.append([client.append("exercise:c", "x", noreply=False), client.prepend("exercise:c", "x", noreply=False)])
    seen.append([client.touch("exercise:n", 60, noreply=False), client.delete("exercise:n", noreply=False)])
    seen.append(client.delete_many(["exercise:c", "exercise:d"]))
    seen.append([bool(client.stats()), bool(client.version())])
    try:
        bare.incr("exercise:bomb", 1)
    except MemcacheError as error:
        seen.append(str(error))
    client.close()
    bare.close()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["memcached"]
    port = server.port

    def client(**options: Any) -> Any:
        return Client((server.host, options.pop("port", port)), timeout=5, **options)

    made: list[Callable[[], object]] = [
        lambda: client(port=1).get("a"),
        lambda: client(port=1).set("a", 1),
        lambda: client(port=server.tls_port, tls_context=ssl.create_default_context()).get("a"),
        lambda: Client("/nowhere").get("a"),
        lambda: client().get("a b"),
        lambda: client().get("k" * 300),
        lambda: client().set("a", "é"),
        lambda: client().set("a", b"x" * 3_000_000, noreply=False),
        lambda: client().set("a", 1, expire="soon"),
        lambda: client()._misc_cmd([b"nonsense\r\n"], b"nonsense", False),
        lambda: client().cas("a", "1", "x"),
        lambda: HashClient([(server.host, 1)], retry_attempts=0).get("a"),
        lambda: PooledClient((server.host, 1)).get_many(["a", "b"]),
    ]
    return made
