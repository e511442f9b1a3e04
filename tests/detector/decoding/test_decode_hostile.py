"""Decoding of hostile bytes. Cost is proportional to size, and no read leaves the message."""

import subprocess
import sys
import textwrap
import time
import tracemalloc
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from backwatch.collector import names
from backwatch.collector.pipeline.protobuf import varint
from backwatch.detector.decoding import protobuf, schema
from backwatch.detector.decoding.decoder import decode
from backwatch.detector.decoding.outline import spans_of
from tests.detector.streams import SAFE, START_NS, Call, encode, statement

HONEST = encode([Call(START_NS + i, SAFE, statement("SELECT * FROM orders WHERE id = ?")) for i in range(3)])
NOT_READ = {("Span", "links"), ("Resource", "entity_refs"), ("AnyValue", "array_value"), ("AnyValue", "kvlist_value")}
"""Messages whose content is not decoded. The decoder skips them by length."""


def bare_request() -> Any:
    """Return the request as far as it is decoded. Texts and skipped fields are plain bytes."""
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, trace_pb2, trace_service_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            for field in message.field:
                if field.type == field.TYPE_STRING or (message.name, field.name) in NOT_READ:
                    field.type = field.TYPE_BYTES
                    field.ClearField("type_name")
        pool.Add(file)
    name = trace_service_pb2.ExportTraceServiceRequest.DESCRIPTOR.full_name
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


BARE = bare_request()
GROUP = protobuf.REASONS[protobuf.GROUP]


def is_accepted_by_protobuf(value: bytes) -> bool:
    try:
        BARE.FromString(value)
    except DecodeError:
        return False
    return True


MUTATIONS = st.lists(st.tuples(st.integers(0, len(HONEST) - 1), st.integers(0, 255)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=400)
@given(MUTATIONS, st.integers(0, len(HONEST)))
def test_value_is_refused_when_protobuf_refuses_its_decoded_part(mutations: list[tuple[int, int]], length: int) -> None:
    """One difference is intended: the decoder never follows groups, which no OpenTelemetry message has."""
    changed = bytearray(HONEST)
    for at, byte in mutations:
        changed[at] = byte
    for value in (bytes(changed), HONEST[:length], bytes(changed[:length])):
        found = decode([value])
        reasons = [reason for _, reason in found.malformed]
        if reasons != [GROUP]:
            assert is_accepted_by_protobuf(value) == (not reasons), (value.hex(), reasons)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_decoded_or_refused(value: bytes) -> None:
    found = decode([value])
    if [reason for _, reason in found.malformed] != [GROUP]:
        assert is_accepted_by_protobuf(value) == (not found.malformed)


def test_malformed_value_leaves_no_rows_and_its_neighbours_are_decoded() -> None:
    found = decode([HONEST, HONEST[:-1], HONEST, b"\xff", HONEST])
    assert [record for record, _ in found.malformed] == [1, 3]
    assert found.record.tolist() == [0, 0, 0, 2, 2, 2, 4, 4, 4]
    assert 9 == found.spans == found.count
    assert [found.text(names.SERVER_ADDRESS, row) for row in range(9)] == ["db.internal"] * 9
    assert not found.dropped


def test_fault_in_the_last_span_removes_the_first_ones() -> None:
    span = wrap(0x12, body=b"\x30\x03" + wrap(0x4A, body=b"\x0a\x09db.system\x12\x07\x0a\x05redis"))
    fault = wrap(0x12, body=b"\x30\x03\x4a\x7f")  # an attribute longer than the remaining bytes
    assert decode([wrap(0x0A, 0x12, body=span + span)]).count == 2
    found = decode([wrap(0x0A, 0x12, body=span + span + fault), HONEST])
    assert [(0, protobuf.REASONS[protobuf.TRUNCATED])] == found.malformed
    assert 3 == found.count == found.spans


GUARDED = textwrap.dedent("""
    import ctypes, mmap, random, sys
    import numpy as np
    from backwatch.detector.decoding.lookup import ATTRIBUTES
    from backwatch.detector.decoding.records import fill
    from backwatch.detector.decoding.rows import BEAT, MAX_BEATS, STATE, new_rows
    from backwatch.detector.decoding.outline import ITEM
    from tests.detector.decoding.test_decode_hostile import HONEST

    PAGE = mmap.PAGESIZE
    size = -(-len(HONEST) // PAGE)
    area = mmap.mmap(-1, (size + 2) * PAGE)
    base = ctypes.addressof(ctypes.c_char.from_buffer(area))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for page in (0, size + 1):
        assert protect(ctypes.c_void_p(base + page * PAGE), ctypes.c_size_t(PAGE), 0) == 0
    whole = np.frombuffer(area, np.uint8)
    source = random.Random(4711)
    items, rows = np.empty((4096, ITEM), np.int64), new_rows(4096)
    beats, refused = np.empty((MAX_BEATS, BEAT), np.int64), 0
    for turn in range(int(sys.argv[1])):
        value = bytearray(HONEST[: source.randrange(1, len(HONEST) + 1)] if turn % 2 else HONEST)
        for _ in range(source.randrange(4)):
            value[source.randrange(len(value))] = source.choice((0, 1, 127, 128, 255, source.randrange(256)))
        # Once with its end, once with its start at a page that cannot be touched.
        start = (size + 1) * PAGE - len(value) if turn % 4 < 2 else PAGE
        whole[start : start + len(value)] = np.frombuffer(value, np.uint8)
        part, status = whole[start : start + len(value)], np.zeros(1, np.int64)
        bounds, state = np.array([0, len(value)]), np.zeros(STATE, np.int64)
        assert fill(part, bounds, status, 0, ATTRIBUTES, items, rows, beats, state) == 1
        refused += bool(status[0])
    print(refused)
""")


def test_no_read_leaves_the_value() -> None:
    """The value ends or begins at an inaccessible page. Reading one byte too far kills the process."""
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, "6000"], capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 1000 < int(done.stdout) < 6000


def nest(depth: int) -> bytes:
    value = b"\x0a\x01x"
    for _ in range(depth):
        value = b"\x2a" + varint(len(value) + 1 + len(varint(len(value)))) + b"\x0a" + varint(len(value)) + value
    return value


def wrap(*tags: int, body: bytes) -> bytes:
    for tag in reversed(tags):
        body = bytes([tag]) + varint(len(body)) + body
    return body


def test_nesting_neither_costs_time_nor_hides_spans() -> None:
    attribute = wrap(0x4A, body=b"\x0a\x01k" + wrap(0x12, body=nest(3_000)))
    system = wrap(0x4A, body=b"\x0a\x09db.system" + wrap(0x12, body=b"\x0a\x05redis"))
    found = decode([wrap(0x0A, 0x12, 0x12, body=attribute + b"\x30\x03" + system)])
    assert found.malformed == []
    assert [found.text(names.DB_SYSTEM, row) for row in range(found.count)] == ["redis"]


def test_bomb_of_empty_spans_is_refused() -> None:
    bomb = wrap(0x0A, 0x12, body=b"\x12\x00" * (schema.MAX_SPANS + 1))
    decode([HONEST])
    tracemalloc.start()
    began = time.process_time()
    found = decode([bomb] * 4)
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(i, protobuf.REASONS[protobuf.TOO_MANY_SPANS]) for i in range(4)] == found.malformed
    assert took < 0.5
    assert peak < 64 << 20


def test_maximum_number_of_spans_is_counted() -> None:
    span = wrap(0x12, body=b"\x2a\x0c" + b"n" * 12)
    assert len(span) == schema.MIN_SPAN_BYTES
    found = decode([wrap(0x0A, 0x12, body=span * schema.MAX_SPANS)])
    assert (found.malformed, found.spans, found.count) == ([], schema.MAX_SPANS, 0)


def test_many_unrealistically_small_spans_are_refused() -> None:
    """400 kB of such spans, all inheriting everything, would make 250 MB of columns."""
    scope = wrap(0x0A, body=wrap(0x1A, body=b"\x0a\x09db.system" + wrap(0x12, body=b"\x0a\x05redis")))
    span = b"\x12\x02\x30\x03"
    few = decode([wrap(0x0A, 0x12, body=scope + span * schema.MAX_SMALL_SPANS)])
    assert (few.count, few.malformed) == (schema.MAX_SMALL_SPANS, [])
    many = decode([wrap(0x0A, 0x12, body=scope + span * (schema.MAX_SMALL_SPANS + 1))])
    assert (many.count, many.malformed) == (0, [(0, protobuf.REASONS[protobuf.TOO_MANY_SPANS])])


def test_rows_grow_with_the_spans() -> None:
    many = encode([Call(START_NS + i, SAFE, statement("SELECT 1")) for i in range(700)])
    found = decode([many] * 30)
    assert 21_000 == found.count == found.spans
    assert found.text(names.SERVER_ADDRESS, 20_999) == "db.internal"
    assert np.array_equal(np.repeat(np.arange(30), 700), found.record)


def test_attributes_beyond_the_limit_are_only_counted() -> None:
    attribute = wrap(0x4A, body=b"\x0a\x01k\x12\x02\x18\x01")
    system = wrap(0x4A, body=b"\x0a\x09db.system" + wrap(0x12, body=b"\x0a\x05redis"))
    span = system + attribute * schema.MAX_ATTRIBUTES + b"\x30\x03"
    found = decode([wrap(0x0A, 0x12, 0x12, body=span)])
    assert (found.count, found.attributes_over) == (1, 1)
    late = attribute * schema.MAX_ATTRIBUTES + system + b"\x30\x03"
    assert decode([wrap(0x0A, 0x12, 0x12, body=late)]).count == 0


def test_span_count_needs_only_the_outer_structure() -> None:
    assert spans_of(HONEST) == 3
    assert spans_of(b"") == 0
    assert spans_of(HONEST[:-1]) == -1


def test_invalid_utf8_is_judged_and_shown() -> None:
    """Any client can put such a byte into a statement. It must not get a batch refused."""
    found = decode([HONEST.replace(b"orders", b"\xff\xferd\xc0s")])
    assert found.count == 3
    assert found.text(names.QUERY_TEXT, 0) == "SELECT * FROM \ufffd\ufffdrd\ufffds WHERE id = ?"
