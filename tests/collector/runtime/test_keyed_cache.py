"""Caches hold no raw text."""

import gc
import os
import secrets
import subprocess
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from backwatch.collector.probes.families.redis import statements as redis_statements
from backwatch.collector.probes.nats import session
from backwatch.collector.probes.pymemcache.statements import describe_command
from backwatch.collector.probes.toolkit import messages
from backwatch.collector.redaction import amqp, mongo
from backwatch.collector.redaction.sanitize import sanitize
from backwatch.collector.runtime.keyed_cache import keyed_hash, remember

CALLS: dict[str, Callable[[str], object]] = {
    "a key of redis": lambda text: redis_statements.describe_command("GET", ("GET", text)),
    "a word that is no command of redis": lambda text: redis_statements.describe_command(text.upper(), (text, "key")),
    "a key of memcached": lambda text: describe_command("get", [text]),
    "a key of memcached in bytes": lambda text: describe_command("get", [text.encode()]),
    "a routing key": lambda text: amqp.redact_name(f"reply.{text}"),
    "a routing key in bytes": lambda text: amqp.redact_name(f"reply.{text}".encode()),
    "a field's name": lambda text: mongo.to_statement({"find": "users", "filter": {f"by.{text}": 1}}),
    "a subject": lambda text: messages.operation_text("publish", f"orders.{text}"),
    "a subject that was subscribed to": lambda text: session.matches_subject(f"orders.{text}", "orders.*"),
    "a statement": lambda text: sanitize(f"select '{text}'", "postgresql"),
}


def _collector_modules() -> list[dict[str, Any]]:
    return [vars(one) for name, one in list(sys.modules.items()) if name.startswith("backwatch.collector")]


def _held() -> list[str]:
    """Return every text that collector modules hold; ``gc`` knows references, not holders of text alone."""
    roots: list[Any] = _collector_modules()
    others = {id(one.__dict__) for one in list(sys.modules.values()) if hasattr(one, "__dict__")}
    seen = {id(one) for one in roots} | others
    texts: list[str] = []
    while roots:
        holder = roots.pop()
        keys = list(holder) if isinstance(holder, dict) else ()  # ``gc`` skips keys that are text
        for one in (*keys, *gc.get_referents(holder)):
            kind = type(one)  # isinstance asks a proxy for the class of its object, which may be gone
            if issubclass(kind, str):
                texts.append(one)
            elif issubclass(kind, bytes):
                texts.append(one.decode("latin-1"))
            elif id(one) not in seen and type(one) not in _NOT_WALKED and _may_be_internal(one):
                seen.add(id(one))
                roots.append(one)
    return texts


_NOT_WALKED = (types.ModuleType, *weakref.ProxyTypes)
"""What leads to all other modules, and what only speaks for another object, which may be gone."""


def _may_be_internal(one: object) -> bool:
    return not isinstance(one, type) or one.__module__.startswith("backwatch.")


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_no_raw_text_is_held_after_its_call(call: Callable[[str], object]) -> None:
    canary = secrets.token_hex(10)
    first, again = call(canary), call(canary)
    assert first == again
    assert canary not in repr(first)
    assert [one for one in _held() if canary in one.lower()] == []


def test_caches_in_collector_modules_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    canary = secrets.token_hex(10)
    monkeypatch.setattr(amqp, "MAX_PARTS", {canary: ("a", [1])})
    assert {one for one in _held() if canary in one} == {canary}


def test_names_that_leave_as_they_are_are_remembered() -> None:
    for call, name in (
        (amqp.redact_name, "orders.eu.created"),
        (lambda key: mongo.to_statement({"find": key}), "users"),
    ):
        assert name in str(call(name))
    assert amqp.redact_name("orders.eu.created") is amqp.redact_name("orders.eu." + "created".lower())


def test_marks_are_equal_only_for_equal_values() -> None:
    assert keyed_hash("a" + str(1)) == keyed_hash("a1")
    assert keyed_hash(("GET", "a1")) == keyed_hash(("GET", "a" + str(1)))
    raws = (
        "a1",
        "a2",
        ("GET", "a1"),
        ("GET", "a2"),
        ("TTL", "a1"),
        ("GET", str, "a1"),
        ("GET", bytes, b"a1"),
        "\ud800",
    )
    assert len({keyed_hash(raw) for raw in raws}) == len(raws)


@pytest.mark.parametrize("seed", ["0", "7", "random"])
def test_marks_differ_by_process_even_with_equal_hashes(seed: str) -> None:
    code = (
        "from backwatch.collector.runtime.keyed_cache import keyed_hash; "
        "print(keyed_hash('a'), keyed_hash(('GET', str, 'a')), keyed_hash('a') == keyed_hash('a'))"
    )
    hashes = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True,
            check=True,
        ).stdout.split()
        for _ in range(2)
    ]  # fmt: skip
    assert set(hashes[0]).isdisjoint(hashes[1]) is False  # "True", and nothing else
    assert set(hashes[0]) & set(hashes[1]) == {"True"}


def test_a_full_cache_is_emptied() -> None:
    cache: dict[str, int] = {}
    for number in range(7):
        assert remember(cache, str(number), number, 3) == number
    assert cache == {"6": 6}


class _Sly(str):
    __slots__ = ()

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return True


def test_key_with_a_custom_hash_is_not_confused_with_another() -> None:
    statements = [redis_statements.describe_command("GET", ("GET", _Sly(one)))[1] for one in ("session:1", "user:1")]
    assert statements == ["GET session:?", "GET user:?"]
    assert [describe_command("get", [_Sly(one)]) for one in ("session:1", "user:1")] == ["get session:?", "get user:?"]
    assert [amqp.redact_name(_Sly(one)) for one in ("orders.new", "mails.new")] == ["orders.new", "mails.new"]
    assert [messages.operation_text("send", _Sly(one)).statement for one in ("orders", "mails")] == [
        "send orders",
        "send mails",
    ]
