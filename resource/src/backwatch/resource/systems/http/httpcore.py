"""httpcore's network, which httpx uses: connections to judged addresses, judged and bounded."""

import socket
import time
from typing import Any

from backwatch.resource.addresses import Place
from backwatch.resource.bounded import ReplyBudget
from backwatch.resource.opening import Attachment, Session, read_tls


class _Network:
    """What the synchronous and the asynchronous network do."""

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


def make_backend(attachment: Attachment) -> Any:
    """Return a network for ``httpcore.ConnectionPool``."""
    import httpcore

    network_base: Any = httpcore.NetworkBackend
    stream_base: Any = httpcore.NetworkStream

    class JudgedStream(_Stream, stream_base):
        """A stream that is bounded in each reply."""

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            limit, shortened = self.limit(timeout)
            started = time.monotonic()
            try:
                data = self._inner.read(max_bytes, limit)
            except httpcore.ReadTimeout:
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
            except httpcore.ConnectError as error:
                self._attachment.refuse_error(error)
                raise
            encrypted = JudgedStream(self._attachment, inner)
            try:
                encrypted.check()
            except BaseException:
                encrypted.close()
                raise
            return encrypted

    class JudgedNetwork(_Network, network_base):
        """A network that goes to judged addresses alone."""

        def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Any:
            error: Exception = httpcore.ConnectError(f"{host} has no address")
            try:
                places = self.judge(host, port)
            except socket.gaierror as found:
                raise httpcore.ConnectError(str(found)) from found
            for place in places:
                try:
                    return JudgedStream(
                        self._attachment, self._inner.connect_tcp(str(place.address), port, timeout, **options)
                    )
                except httpcore.ConnectError as found:
                    error = found
            raise error

        def sleep(self, seconds: float) -> None:
            self._inner.sleep(seconds)

    return JudgedNetwork(attachment, httpcore.SyncBackend())


def make_async_backend(attachment: Attachment) -> Any:
    """Return a network for ``httpcore.AsyncConnectionPool``."""
    import anyio.to_thread
    import httpcore

    network_base: Any = httpcore.AsyncNetworkBackend
    stream_base: Any = httpcore.AsyncNetworkStream

    class JudgedAsyncStream(_Stream, stream_base):
        """A stream that is bounded in each reply."""

        async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  httpcore's signature
            limit, shortened = self.limit(timeout)
            started = time.monotonic()
            try:
                data = await self._inner.read(max_bytes, limit)
            except httpcore.ReadTimeout:
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
            except httpcore.ConnectError as error:
                self._attachment.refuse_error(error)
                raise
            encrypted = JudgedAsyncStream(self._attachment, inner)
            try:
                encrypted.check()
            except BaseException:
                await encrypted.aclose()
                raise
            return encrypted

    class JudgedAsyncNetwork(_Network, network_base):
        """A network that goes to judged addresses alone."""

        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,  # noqa: ASYNC109
            **options: Any,
        ) -> Any:
            error: Exception = httpcore.ConnectError(f"{host} has no address")
            try:
                places = await anyio.to_thread.run_sync(self.judge, host, port)
            except socket.gaierror as found:
                raise httpcore.ConnectError(str(found)) from found
            for place in places:
                try:
                    inner = await self._inner.connect_tcp(str(place.address), port, timeout, **options)
                    return JudgedAsyncStream(self._attachment, inner)
                except httpcore.ConnectError as found:
                    error = found
            raise error

        async def sleep(self, seconds: float) -> None:
            await self._inner.sleep(seconds)

    return JudgedAsyncNetwork(attachment, httpcore.AnyIOBackend())
