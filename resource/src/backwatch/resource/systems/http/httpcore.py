"""httpcore's network, which httpx uses: connections to judged addresses, judged and bounded."""

import socket
import time
from functools import cache
from typing import Any

from backwatch.resource.addresses import Place
from backwatch.resource.bounded import ReplyBudget
from backwatch.resource.opening import Attachment, Session, read_tls


class _Network:
    """What the synchronous and the asynchronous network do."""

    stream_class: Any

    def __init__(self, attachment: Attachment, inner: Any) -> None:
        self._attachment = attachment
        self._inner = inner

    def judge(self, host: str, port: int) -> list[Place]:
        """Return the judged addresses of a host."""
        self._attachment.check_endpoint(host, port, "a connection goes to")
        return self._attachment.check_address(host, port)


class _Stream:
    """What the synchronous and the asynchronous stream do."""

    def __init__(self, attachment: Attachment, inner: Any) -> None:
        self._attachment = attachment
        self._inner = inner
        self._budget = ReplyBudget(attachment, attachment.policy.seconds("statement_timeout_s"))

    def limit(self, timeout: float | None) -> tuple[float, bool]:
        """Return the seconds that a read may take, and whether the budget shortened them."""
        left = max(self._budget.left_s, 0.001)
        return (left, True) if timeout is None or timeout > left else (timeout, False)

    def check(self) -> None:
        """Judge the session, once it is encrypted."""
        encrypted = self._inner.get_extra_info("ssl_object")
        self._attachment.check_session(read_tls(encrypted) if encrypted else Session(tls=False))

    def get_extra_info(self, info: str) -> Any:
        """Return what the inner stream shows."""
        return self._inner.get_extra_info(info)


class _JudgedStream(_Stream):
    """A stream that is bounded in each reply."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        limit, shortened = self.limit(timeout)
        started = time.monotonic()
        try:
            data = self._inner.read(max_bytes, limit)
        except _httpcore().ReadTimeout:
            if shortened:
                self._budget.refuse_time()
            raise
        self._budget.take(len(data), time.monotonic() - started)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._budget.restart()
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
        try:
            inner = self._inner.start_tls(ssl_context, server_hostname, timeout)
        except _httpcore().ConnectError as error:
            self._attachment.refuse_error(error)
            raise
        encrypted = type(self)(self._attachment, inner)
        try:
            encrypted.check()
        except BaseException:
            encrypted.close()
            raise
        return encrypted


class _JudgedNetwork(_Network):
    """A network that goes to judged addresses alone."""

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Any:
        error: Exception = _httpcore().ConnectError(f"{host} has no address")
        try:
            places = self.judge(host, port)
        except socket.gaierror as found:
            raise _httpcore().ConnectError(str(found)) from found
        for place in places:
            try:
                return self.stream_class(
                    self._attachment, self._inner.connect_tcp(str(place.address), port, timeout, **options)
                )
            except _httpcore().ConnectError as found:
                error = found
        raise error

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _JudgedAsyncStream(_Stream):
    """A stream that is bounded in each reply."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  httpcore's signature
        limit, shortened = self.limit(timeout)
        started = time.monotonic()
        try:
            data = await self._inner.read(max_bytes, limit)
        except _httpcore().ReadTimeout:
            if shortened:
                self._budget.refuse_time()
            raise
        self._budget.take(len(data), time.monotonic() - started)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._budget.restart()
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: Any,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Any:
        try:
            inner = await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except _httpcore().ConnectError as error:
            self._attachment.refuse_error(error)
            raise
        encrypted = type(self)(self._attachment, inner)
        try:
            encrypted.check()
        except BaseException:
            await encrypted.aclose()
            raise
        return encrypted


class _JudgedAsyncNetwork(_Network):
    """A network that goes to judged addresses alone."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        **options: Any,
    ) -> Any:
        error: Exception = _httpcore().ConnectError(f"{host} has no address")
        try:
            places = await _run_in_thread(self.judge, host, port)
        except socket.gaierror as found:
            raise _httpcore().ConnectError(str(found)) from found
        for place in places:
            try:
                inner = await self._inner.connect_tcp(str(place.address), port, timeout, **options)
                return self.stream_class(self._attachment, inner)
            except _httpcore().ConnectError as found:
                error = found
        raise error

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def make_backend(attachment: Attachment) -> Any:
    """Return a network for ``httpcore.ConnectionPool``."""
    return _define_networks()[0](attachment, _httpcore().SyncBackend())


def make_async_backend(attachment: Attachment) -> Any:
    """Return a network for ``httpcore.AsyncConnectionPool``."""
    return _define_networks()[1](attachment, _httpcore().AnyIOBackend())


async def _run_in_thread(function: Any, *arguments: Any) -> Any:
    import anyio.to_thread

    return await anyio.to_thread.run_sync(function, *arguments)


@cache
def _httpcore() -> Any:
    import httpcore

    return httpcore


@cache
def _define_networks() -> tuple[Any, Any]:
    library = _httpcore()
    stream = type("JudgedStream", (_JudgedStream, library.NetworkStream), {})
    async_stream = type("JudgedAsyncStream", (_JudgedAsyncStream, library.AsyncNetworkStream), {})
    return (
        type("JudgedNetwork", (_JudgedNetwork, library.NetworkBackend), {"stream_class": stream}),
        type("JudgedAsyncNetwork", (_JudgedAsyncNetwork, library.AsyncNetworkBackend), {"stream_class": async_stream}),
    )
