"""D7 on nats: a message arrives under another subject than the subscription's."""

from backwatch.attack.protocols.nats import NATS
from backwatch.attack.techniques.nats import ReceivesOrders

ASKED, OTHER = "orders.eu", "orders.us"


class OtherSubjectNats(NATS):
    """Delivers under another subject, once hostile."""

    def subject(self, published: bytes) -> bytes:
        """Return the subject to deliver under."""
        return OTHER.encode() if self.hostile else super().subject(published)


class NatsOtherSubject(ReceivesOrders):
    """nats-py matches on the subscription id, and returns any subject that the message carries."""

    code = "D7"
    attack = "delivers a message under another subject than was subscribed to, which the app then books there"
    reference = "https://docs.nats.io/reference/reference-protocols/nats-protocol#msg; CVE-2023-28858"
    rule = "mismatched-response"
    server = OtherSubjectNats
    shows = OTHER

    def work(self) -> object:
        """Publish an order, and book the message that arrives."""
        message = self.receive(b'{"order": 7}', ASKED)
        return f"booked in {message.subject}"
