"""urllib3's response bodies: packed, in chunks, unread, documents; also of its oldest version."""

import gc
import gzip
import os
import subprocess
import sys

import pytest
import urllib3

from backwatch.collector import names
from backwatch.collector.probes.urllib3 import Urllib3Probe
from tests.collector.probes.http.web import BODY, Web, serve_once
from tests.collector.probes.recording import Recording
from tests.services.overlays import overlay
from tests.services.process import ROOT

PROBES = (Urllib3Probe,)


def _sizes(recording: Recording) -> tuple[object, object]:
    (get,) = recording.of("GET")
    return get.facts.get(names.PAYLOAD_WIRE), get.facts.get(names.PAYLOAD_SIZE)


@pytest.mark.parametrize("how", ["at once", "in parts", "as a stream"])
def test_a_packed_body_is_recorded_with_both_its_sizes(
    recording: Recording, pool: urllib3.PoolManager, web: Web, how: str
) -> None:
    response = pool.request("GET", f"{web.tls_url}/gzip", preload_content=how == "at once")
    if how == "in parts":
        while response.read(1_000):
            pass
    elif how == "as a stream":
        assert sum(len(one) for one in response.stream(1_000)) == len(BODY)
    wire, size = _sizes(recording)
    assert size == len(BODY)
    assert wire == len(gzip.compress(BODY))
    assert 0 < recording.of("GET")[0].received < 1_000


def test_a_packed_body_in_chunks_is_recorded_with_both_its_sizes(
    recording: Recording, pool: urllib3.PoolManager
) -> None:
    packed = gzip.compress(BODY)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serve_once(head + f"{len(packed):x}".encode() + b"\r\n" + packed + b"\r\n0\r\n\r\n") as url:
        response = pool.request("GET", url, preload_content=False)
        assert sum(len(one) for one in response.stream(1_000, decode_content=True)) == len(BODY)
    assert _sizes(recording) == (len(packed), len(BODY))


def test_raw_packed_body_is_recorded_too(recording: Recording, pool: urllib3.PoolManager, web: Web) -> None:
    response = pool.request("GET", f"{web.tls_url}/gzip", preload_content=False, decode_content=False)
    assert gzip.decompress(response.read()) == BODY  # packed anew, with the time in it
    assert _sizes(recording) == (None, None)
    recording.calls.clear()
    response = pool.request("GET", f"{web.tls_url}/gzip", preload_content=False, decode_content=False)
    while response.read(100):
        pass
    pool.request("GET", f"{web.tls_url}/plain")  # on the same connection: its bytes are its own
    del response
    gc.collect()
    recorded = {one.received > 10_000 for one in recording.of("GET")}
    assert recorded == {True, False}


def test_a_packed_body_that_is_closed_early_is_recorded_at_once(
    recording: Recording, pool: urllib3.PoolManager, web: Web
) -> None:
    response = pool.request("GET", f"{web.tls_url}/gzip", preload_content=False)
    response.read(10)
    response.close()
    assert len(recording.of("GET")) == 1


XML = b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/hunter2">]><r>&f;</r>'
DOCUMENTS = {"honest": b"<r>" + b"1.08 " * 5_000 + b"</r>", "hostile": XML + b" " * 20_000}


def _frame(how: str, body: bytes, packs: bool) -> bytes:
    body = gzip.compress(body) if packs else body
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml; charset=utf-8\r\n"
    head += b"Content-Encoding: gzip\r\n" if packs else b""
    if how == "chunked":
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    return (
        head
        + (b"Content-Length: %d\r\n" % len(body) if how == "counted" else b"Connection: close\r\n")
        + b"\r\n"
        + body
    )


@pytest.mark.parametrize("packs", [False, True])
@pytest.mark.parametrize("what", ["honest", "hostile"])
@pytest.mark.parametrize("framing", ["counted", "chunked", "until it closes"])
@pytest.mark.parametrize("reading", ["at once", "later", "in parts", "as a stream"])
def test_a_document_is_looked_at_however_it_comes_and_is_read(
    recording: Recording, pool: urllib3.PoolManager, reading: str, framing: str, what: str, packs: bool
) -> None:
    body, read = DOCUMENTS[what], b""
    with serve_once(_frame(framing, body, packs)) as url:
        response = pool.request("GET", url, preload_content=reading == "at once")
        if reading in ("at once", "later"):
            read = response.data
        elif reading == "in parts":
            while part := response.read(10_000):
                read += part
        else:
            read = b"".join(response.stream(10_000, decode_content=True))
    assert read == body
    (recorded,) = recording.of("GET")  # while the response lives
    assert recorded.facts.get(names.RESPONSE_INDICATORS) == ("xml-external" if what == "hostile" else None)
    assert "hunter2" not in repr(recorded.attributes())
    del response


@pytest.mark.parametrize("size", [1, 7, 300])
@pytest.mark.parametrize("reading", ["at once", "later", "as a stream"])
@pytest.mark.parametrize(("kind", "body", "sign"), [("xml", XML, "xml-external"), ("json", b"[" * 2_000, "deep")])
def test_document_is_inspected_across_any_number_of_chunks(
    recording: Recording, pool: urllib3.PoolManager, kind: str, body: bytes, sign: str, reading: str, size: int
) -> None:
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/%b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind.encode()
    answer += b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in [*chunks, b""])
    with serve_once(answer) as url:
        response = pool.request("GET", url, preload_content=reading == "at once")
        read = response.data if reading != "as a stream" else b"".join(response.stream(10_000, decode_content=True))
    assert read == body
    (recorded,) = recording.of("GET")
    assert recorded.facts.get(names.RESPONSE_INDICATORS) == sign


def test_an_unread_or_empty_document_is_recorded(recording: Recording, pool: urllib3.PoolManager) -> None:
    with serve_once(_frame("counted", DOCUMENTS["hostile"], False)) as url:
        response = pool.request("GET", url, preload_content=False)
        response.close()
    for framing in ("counted", "chunked"):
        with serve_once(_frame(framing, b"", False)) as url:
            assert pool.request("GET", url).data == b""
    gc.collect()
    assert len(recording.of("GET")) == 3
    assert not any(names.RESPONSE_INDICATORS in one.facts for one in recording.calls)


def test_packed_bodies_are_recorded_by_the_oldest_version_too(web: Web) -> None:
    path = os.pathsep.join([str(overlay("urllib3==1.26.20")), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", OLD, f"{web.url}/gzip"], capture_output=True, text=True, cwd=ROOT, timeout=60,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


OLD = """
import sys
import urllib3
assert urllib3.__version__ == "1.26.20"
from backwatch.collector import names
from backwatch.collector.probes.urllib3 import Urllib3Probe
from tests.collector.probes.recording import watching
with watching(Urllib3Probe) as recording, urllib3.PoolManager() as pool:
    assert len(pool.request("GET", sys.argv[1]).data) == 50_000
    assert sum(map(len, pool.request("GET", sys.argv[1], preload_content=False).stream(100))) == 50_000
    sizes = [one.facts.get(names.PAYLOAD_SIZE) for one in recording.of("GET")]
assert sizes == [50_000, 50_000], sizes
"""
