"""A gRPC server in a separate process, plain and over TLS: messages are bytes. Run by ``grpc_server.py``."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc


def _get(request: bytes, context: Any) -> bytes:
    if request == b"missing":
        context.abort(grpc.StatusCode.NOT_FOUND, f"no order {request!r}")
    if request == b"slow":
        time.sleep(2)
    return request * 2


def _list(request: bytes, context: Any) -> Iterator[bytes]:
    for number in range(int(request)):
        yield b"x" * 100
        if number == 1_000:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many")


def _put(requests: Iterator[bytes], _context: Any) -> bytes:
    return str(sum(len(one) for one in requests)).encode()


def _talk(requests: Iterator[bytes], _context: Any) -> Iterator[bytes]:
    for one in requests:
        yield one
        yield one


def main(port: int, tls_port: int, certificate: str, key: str) -> None:
    """Serve until killed."""
    handlers = {
        "Get": grpc.unary_unary_rpc_method_handler(_get), "List": grpc.unary_stream_rpc_method_handler(_list),
        "Put": grpc.stream_unary_rpc_method_handler(_put), "Talk": grpc.stream_stream_rpc_method_handler(_talk),
    }  # fmt: skip
    server = grpc.server(ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.v1.Orders", handlers),))
    with open(key, "rb") as private, open(certificate, "rb") as public:  # noqa: PTH123  short
        secured = grpc.ssl_server_credentials([(private.read(), public.read())])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.add_secure_port(f"127.0.0.1:{tls_port}", secured)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
