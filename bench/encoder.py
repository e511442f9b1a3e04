"""Cost of encoding a call: Backwatch's writer against OpenTelemetry's encoder, for the same spans.

    make bench NAME=encoder                        ARGS="--rounds 30"

Both get batches of 512 calls of one session: 8 statements at 8 call sites, with distinct ids, times and volumes. The
official encoder gets them as the SDK's finished spans with the same attributes, and the session's facts as those of the
scope. Before the timing, the official classes read Backwatch's bytes. These must hold the same data, and must come out
the same, byte for byte, when the official classes write them again.
"""

import argparse
import json
import random
import time
from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind

from backwatch.collector import names
from backwatch.collector.pipeline.app_identity import App
from backwatch.collector.pipeline.encoder import encode_calls, session_attributes
from backwatch.collector.runtime.record import CLIENT, AttributeValue, Call, CallSite, Session
from bench import rounds

APP = App("shop", "", "", (("service.name", "shop"),))
SESSION = Session(
    system="postgresql", address="db.example.com", port=5432, namespace="shop", requested="verify-full",
    requested_explicit=True, encrypted=True, tls_version="1.3", cipher="TLS_AES_256_GCM_SHA384", verified="full",
    certificate_sha256="ab" * 32, not_before="2026-01-01T00:00:00Z", not_after="2027-01-01T00:00:00Z", issuer="CN=ca",
    subject="CN=db.example.com", peer_address="10.1.2.3", peer_port=5432, account="shop", server_version="15.18",
)  # fmt: skip
STATEMENT = "SELECT id , name , price FROM items AS i JOIN stock USING ( id ) WHERE i.kind = ? AND i.shelf = {} LIMIT ?"


def calls(count: int) -> list[Call]:
    """Return calls from a fixed seed."""
    source = random.Random(7)
    sites = [CallSite(f"Shop.view_{number}", "shop/views.py", 20 + number) for number in range(8)]
    texts = [STATEMENT.format(f"shelf_{number}") for number in range(8)]
    made: list[Call] = []
    for at in range(count):
        start_ns = 1_790_000_000_000_000_000 + at * 10_000
        made.append(
            Call(
                SESSION, "SELECT", texts[at % 8], True, "", CLIENT, sites[at % 8], "", start_ns,
                start_ns + source.randrange(9_000), source.getrandbits(128), source.getrandbits(64),
                source.getrandbits(64), source.randrange(100, 300), source.randrange(100, 9_000), False,
                source.randrange(20), -1, "", (),
            )
        )  # fmt: skip
    return made


def _attributes(call: Call) -> dict[str, AttributeValue]:
    assert call.site is not None
    return {
        names.OPERATION: call.operation, names.QUERY_TEXT: call.text, names.CODE_FUNCTION: call.site.function,
        names.CODE_FILE: call.site.file, names.CODE_LINE: call.site.line, names.BYTES_SENT: call.bytes_sent,
        names.BYTES_RECEIVED: call.bytes_received, names.ROWS_RETURNED: call.rows_returned,
    }  # fmt: skip


def spans(made: list[Call]) -> list[ReadableSpan]:
    """Return the same calls as the SDK would hand them to its exporter."""
    resource = Resource(dict(APP.attributes))
    scope = InstrumentationScope(names.SCOPE_CALLS, None, None, session_attributes(SESSION))
    return [
        ReadableSpan(
            call.operation, SpanContext(call.trace_id, call.span_id, is_remote=False),
            SpanContext(call.trace_id, call.parent_id, is_remote=False), resource, _attributes(call),
            kind=SpanKind.CLIENT, instrumentation_scope=scope, start_time=call.start_ns, end_time=call.end_ns,
        )
        for call in made
    ]  # fmt: skip


def check(made: list[Call]) -> None:
    """Assert that both encoders write the same data, and that official classes write the same bytes."""
    raw = encode_calls(APP, made)
    decoded = ExportTraceServiceRequest.FromString(raw)
    if decoded.SerializeToString() != raw:
        raise SystemExit("bench: our bytes are not those that the official classes write")
    theirs = encode_spans(spans(made)).resource_spans[0].scope_spans[0].spans
    for mine, other in zip(decoded.resource_spans[0].scope_spans[0].spans, theirs, strict=True):
        other.ClearField("flags")  # Backwatch reports no remote parent
        other.ClearField("status")  # unset, which is the same
        if mine != other:
            raise SystemExit(f"bench: not the same span: {mine} {other}")


def _best_us(work: Callable[[], object], count: int) -> float:
    begun = time.thread_time()
    work()
    return (time.thread_time() - begun) / count * 1e6


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--batch", type=int, default=512)
    options = parser.parse_args()
    made = calls(options.batch)
    check(made)
    print(rounds.machine("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-common", "protobuf"))
    official = spans(made)
    encoder_us: list[float] = []
    official_us: list[float] = []
    for _ in range(options.rounds):
        encoder_us.append(_best_us(lambda: encode_calls(APP, made), options.batch))
        official_us.append(_best_us(lambda: encode_spans(official).SerializeToString(), options.batch))
    ratio = rounds.ratio(encoder_us, official_us)
    print(f"encode_calls {min(encoder_us):.2f} us a call, official {min(official_us):.2f}: {ratio:.3f}, the same bytes")
    figures = {"encoder_us": min(encoder_us), "official_us": min(official_us), "vs_official": ratio}
    print(json.dumps({"encoder": figures}))


if __name__ == "__main__":
    main()
