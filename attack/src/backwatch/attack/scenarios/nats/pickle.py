"""D4 on nats: a server delivers a pickle that runs a program when it is read."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.nats import NATS
from backwatch.attack.protocols.pickles import bomb
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.pickle import ReadsPickles


class _Turning(NATS):
    def message(self, body: bytes) -> bytes:
        return bomb() if self.hostile else super().message(body)


class NatsPickle(ReadsPickles):
    """A worker that pickles its orders itself."""

    code = "D4"
    attack = "hands out a pickle that runs a program as soon as it is read, in a message's place"
    driver = "nats"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the server."""
        return _Turning(authority)

    def work(self) -> None:
        """Publish an order, and receive it."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import asyncio

        return asyncio.run(self._meet())

    async def _meet(self) -> object:
        import pickle
        import ssl

        import nats

        context = ssl.create_default_context(cafile=self.config.ca_file)
        client = await nats.connect(
            f"tls://localhost:{self.config.port}", tls=context, connect_timeout=5, allow_reconnect=False
        )
        subscription = await client.subscribe("orders")
        await client.publish("orders", pickle.dumps({"order": 7}))
        message = await subscription.next_msg(timeout=5)
        await client.close()
        return pickle.loads(message.data)
