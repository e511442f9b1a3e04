"""memcached's commands as statements: the shape of keys, no key and no value."""

from functools import partial

import pytest

from backwatch.collector.redaction import memcached
from tests.services.cpu_time import least_cpu_s


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"get session:8f2c\r\n", "get session:?"),
        (b"get b:1 a:2 b:3 4\r\n", "get ? a:? b:?"),
        (b"gat 60 a:1 a:2\r\n", "gat a:?"),
        (b"set a:1 0 60 6\r\nsecret\r\n", "set a:? ?"),
        (b"set a:1 0 60 18 noreply\r\nsecret\r\nflush_all\r\n", "set a:? ?"),
        (b"cas a:1 0 0 1 77\r\nx\r\n", "cas a:? ?"),
        (b"incr :1:hits:7 1\r\n", "incr :?:hits:?"),
        (b"mg a:1 t v\r\n", "mg a:?"),
        (b"flush_all 0 noreply\r\n", "flush_all ?"),
        (b"version\r\n", "version"),
        (b"stats\r\n", "stats"),
        (b"stats cachedump 3 100\r\n", "stats cachedump ?"),
        (b"stats secret\r\n", "stats ?"),
        (b"lru_crawler metadump all\r\n", "lru_crawler metadump ?"),
        (b"version\r\nflush_all\r\n", "version; …"),
        (b"hunter2 secret\r\n", "?"),
        (b"\xff\xfe secret\r\n", "?"),
        (b"", "?"),
        (b"\r\n", "?"),
        (b"get", "get"),
    ],
)
def test_a_line_is_reported_by_its_shape(line: bytes, expected: str) -> None:
    assert memcached.redact_line(line)[1] == expected


def test_many_keys_are_reported_by_their_classes() -> None:
    many = [f"kind{chr(97 + number % 26)}{chr(97 + number // 26)}:secret" for number in range(100)]
    redacted = memcached.to_statement("get", many)
    assert redacted.endswith(" …")
    assert "secret" not in redacted
    assert redacted.count(":?") == memcached.MAX_CLASSES
    assert memcached.to_statement("get", ["a:1"] * 2_000) == "get a:? …"


def test_a_key_of_any_type_is_none_of_the_statement() -> None:
    for key in (12345, None, object(), b"\xff" * 300, "é" * 300, ("secret",)):
        assert memcached.to_statement("get", [key]) == "get ?"


def test_a_hostile_line_costs_little() -> None:
    for piece in (b"a:1 ", b" ", b":1:", b"\r\n", b"stats "):
        text = b"get " + piece * (1 << 16)
        assert least_cpu_s(partial(memcached.redact_line, text)) < 0.05
