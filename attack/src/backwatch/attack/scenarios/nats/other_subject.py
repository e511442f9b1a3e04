"""D7 on nats: a message comes under another subject than was subscribed to."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.nats import NATS
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

ASKED, OTHER = b"orders.eu", b"orders.us"


class Straying(NATS):
    """Delivers under another subject, once it has turned."""

    def subject(self, published: bytes) -> bytes:
        """The one that it names."""
        return OTHER if self.hostile else super().subject(published)


class NatsOtherSubject(Scenario):
    """nats-py goes by the subscription's number, and hands out whatever subject stands in front of the message."""

    code = "D7"
    attack = "delivers a message under another subject than was subscribed to, which the app then books there"
    reference = "https://docs.nats.io/reference/reference-protocols/nats-protocol#msg; CVE-2023-28858"
    driver = "nats"
    rule = "mismatched-response"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Straying(authority)

    def work(self) -> None:
        """Publishes an order, and books what comes."""
        self.meet()

    def meet(self) -> object:
        """The same."""
        import asyncio

        return asyncio.run(self._meet())

    async def _meet(self) -> object:
        import ssl

        import nats

        context = ssl.create_default_context(cafile=self.config.ca_file)
        client = await nats.connect(
            f"tls://localhost:{self.config.port}", tls=context, connect_timeout=5, allow_reconnect=False
        )
        subscription = await client.subscribe(ASKED.decode())
        await client.publish(ASKED.decode(), b'{"order": 7}')
        message = await subscription.next_msg(timeout=5)
        await client.close()
        return f"booked in {message.subject}"

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app booked it in another place."""
        del service
        return got == f"booked in {OTHER.decode()}"
