"""Typical calls of an app that uses gRPC: each shape of RPC, sync and asyncio, plain and over TLS."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from tests.services.server import Server


class Failed(Exception):
    """An RPC's status."""


SERVICES = ("grpc_server",)
LOGIN = (("authorization", "Basic YXBwOnZlcnktc2VjcmV0"), ("x-tenant", "very-secret"))
GET, LIST, PUT, TALK = (f"/shop.v1.Orders/{name}" for name in ("Get", "List", "Put", "Talk"))


def credentials(server: Server) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(Path(server.ca_file).read_bytes())


def _status(failing: Callable[[], object]) -> str:
    try:
        failing()
    except grpc.RpcError as error:
        return str(error.code())  # type: ignore[attr-defined]  every one that is raised is a call too
    return ""


def _all(channel: grpc.Channel) -> list[object]:
    get = channel.unary_unary(GET)
    seen: list[object] = [get(b"one", metadata=LOGIN), get.with_call(b"two", timeout=10)[0], get.future(b"3").result()]
    seen.append(len(list(channel.unary_stream(LIST)(b"20"))))
    seen.append(channel.stream_unary(PUT)(iter([b"a" * 10, b"b" * 20])))
    seen.append(list(channel.stream_stream(TALK)(iter([b"a", b"b"]))))
    seen.append(channel.unary_unary(GET, request_serializer=str.encode, response_deserializer=bytes.decode)("x"))
    seen.append(_status(lambda: get(b"missing")))
    return seen


async def _delete_async(channel: grpc.aio.Channel) -> list[object]:
    async with channel:
        get = channel.unary_unary(GET)
        seen: list[object] = [await get(b"one", metadata=LOGIN)]
        seen.append(len([one async for one in channel.unary_stream(LIST)(b"20")]))
        seen.append(await channel.stream_unary(PUT)(iter([b"a" * 10, b"b" * 20])))
        talk = channel.stream_stream(TALK)()
        await talk.write(b"hello")
        await talk.done_writing()
        seen += [await talk.read(), await talk.read(), not await talk.read()]
        try:
            await get(b"missing")
        except grpc.aio.AioRpcError as error:
            seen.append(error.code().name)
        return seen


def calls(services: dict[str, Any]) -> list[object]:
    server: Server = services["grpc_server"]
    seen: list[object] = []
    with grpc.insecure_channel(server.url) as plain, grpc.secure_channel(server.tls_url, credentials(server)) as safe:
        seen += [*_all(plain), *_all(safe)]

    async def both() -> None:
        seen.extend(await _delete_async(grpc.aio.insecure_channel(server.url)))
        seen.extend(await _delete_async(grpc.aio.secure_channel(server.tls_url, credentials(server))))

    asyncio.run(both())
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server: Server = services["grpc_server"]

    def code(run: Callable[[], object]) -> Callable[[], object]:
        """The text of gRPC's own errors has times in it."""

        def failing() -> None:
            raise Failed(_status(run))

        return failing

    def asked(channel: grpc.Channel, request: bytes, **options: Any) -> object:
        with channel:
            return channel.unary_unary(GET)(request, **options)

    return [
        code(lambda: asked(grpc.insecure_channel(server.url), b"missing")),
        code(lambda: asked(grpc.insecure_channel(server.url), b"slow", timeout=0.3)),
        code(lambda: asked(grpc.insecure_channel("127.0.0.1:1"), b"one")),
        code(lambda: asked(grpc.secure_channel(server.tls_url, grpc.ssl_channel_credentials()), b"one")),
        code(lambda: asked(grpc.insecure_channel(server.url), "no bytes")),  # type: ignore[arg-type]
    ]
