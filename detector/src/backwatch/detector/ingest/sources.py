"""Reads recorded OTLP traces: JSON lines, JSON documents, protobuf (bare or length-prefixed), gzip.

The format is detected from the bytes, never from the name. Unreadable pieces are reported, and the rest goes on.
"""

import gzip
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Final, cast

from backwatch.detector.ingest.frames import frames
from backwatch.detector.ingest.json_documents import MAX_DOCUMENT_BYTES, documents
from backwatch.detector.ingest.otlp_json import parse, to_protobuf

MAX_FILE_BYTES: Final = 1 << 30
"""Of one protobuf file, decompressed."""
_GZIP: Final = b"\x1f\x8b"
_JSON: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{\s*[\"}]|\[\s*[\[{\]])")
"""How JSON begins. A brace alone may be a protobuf frame of 123 bytes, whose next byte is a line's end."""
_BINARY: Final = re.compile(rb"[^\t\n\r\x20-\xff]")
"""No request in protobuf is without such bytes."""
_BROKEN: Final = (EOFError, gzip.BadGzipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One ``ExportTraceServiceRequest`` and where it stood: ``spans.jsonl:12``, ``spans.pb#3``."""

    request: bytes
    origin: str


@dataclass(frozen=True, slots=True)
class UnreadablePiece:
    """A piece that is no request, and why; one line."""

    origin: str
    reason: str


Item = RecordedRequest | UnreadablePiece


def read(files: Sequence[str]) -> Iterator[Item]:
    """Yield the requests of these files in order; ``-`` is standard input.

    Raises:
        OSError: A file cannot be opened; before anything is read of any.
    """
    for path in files:
        if path != "-":
            Path(path).open("rb").close()
    for path in files:
        if path == "-":
            yield from _unpack(sys.stdin.buffer, "<stdin>")
        else:
            with Path(path).open("rb") as opened:
                yield from _unpack(opened, path)


def _unpack(opened: IO[bytes], name: str) -> Iterator[Item]:
    outer = _peekable(opened)
    if not outer.peek(2).startswith(_GZIP):
        yield from _items(outer, name)
        return
    try:
        with gzip.GzipFile(fileobj=outer) as inner:
            yield from _items(_peekable(cast("IO[bytes]", inner)), name)
    except _BROKEN as error:
        yield UnreadablePiece(name, f"gzip ends early or is damaged ({type(error).__name__})")


def _peekable(opened: IO[bytes]) -> BufferedReader:
    return opened if isinstance(opened, BufferedReader) else BufferedReader(cast("BufferedReader", opened))


def _items(plain: BufferedReader, name: str) -> Iterator[Item]:
    ahead = plain.peek(256)[:256]
    if _JSON.match(ahead) or not _BINARY.search(ahead):
        yield from _json(plain, name)
    else:
        value = plain.read(MAX_FILE_BYTES + 1)
        if len(value) > MAX_FILE_BYTES:
            yield UnreadablePiece(name, f"longer than {MAX_FILE_BYTES} bytes")
            return
        for ordinal, frame in frames(value):
            origin = f"{name}#{ordinal}" if ordinal else name
            yield (
                RecordedRequest(frame, origin)
                if frame is not None
                else UnreadablePiece(origin, "is no OTLP trace request")
            )


def _json(plain: BufferedReader, name: str) -> Iterator[Item]:
    for line, text in documents(plain.readline):
        origin = f"{name}:{line}"
        if text is None:
            yield UnreadablePiece(origin, f"a document that does not end, or is longer than {MAX_DOCUMENT_BYTES} bytes")
            continue
        try:
            found = parse(text)
            requests = [to_protobuf(document) for document in (found if isinstance(found, list) else [found])]
        except ValueError as error:
            yield UnreadablePiece(origin, str(error))
        else:
            yield from (RecordedRequest(request, origin) for request in requests)
