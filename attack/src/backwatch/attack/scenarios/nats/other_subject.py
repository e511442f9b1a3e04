"""D7 on nats: a message arrives under another subject than the subscription's."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.nats import NATS
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

ASKED, OTHER = b"orders.eu", b"orders.us"


class Straying(NATS):
    """Delivers under another subject, once hostile."""

    def subject(self, published: bytes) -> bytes:
        """Return the subject to deliver under."""
        return OTHER if self.hostile else super().subject(published)


class NatsOtherSubject(Scenario):
    """nats-py matches on the subscription id, and returns any subject that the message carries."""

    code = "D7"
    attack = "delivers a message under another subject than was subscribed to, which the app then books there"
    reference = "https://docs.nats.io/reference/reference-protocols/nats-protocol#msg; CVE-2023-28858"
    driver = "nats"
    rule = "mismatched-response"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the server, honest at first."""
        return Straying(authority)

    def work(self) -> None:
        """Publish an order, and book the message that arrives."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
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
        """Return whether the app booked the order under another subject."""
        del service
        return got == f"booked in {OTHER.decode()}"
