"""D12: an attacker writes into a topic. The app accepts the message as its own producer's."""

from backwatch.attack.clients.kafka import KafkaPython
from backwatch.attack.protocols.kafka import TOPIC, KafkaLog, TopicMessage
from backwatch.attack.scenarios import Run, Scenario

FORGED = b'{"order": 8, "refund_to": "another account"}'


class ForgedLog(KafkaLog):
    """The attacker knows the content of an order. Its forged message lacks the key and the trace headers."""

    def message(self, offset: int) -> TopicMessage:
        """Return the forged message or the honest one."""
        return TopicMessage(value=FORGED) if self.hostile else super().message(offset)


class KafkaForged(Scenario):
    """On kafka-python: a consumer cannot see who produced a message."""

    code = "D12"
    attack = "brings a message that none of the app's producers wrote"
    reference = "https://kafka.apache.org/documentation/#security_authz; ATT&CK T1565.001"
    notices = "an order like any other"
    rule = "unusual-message"
    server = ForgedLog
    shows = FORGED.decode()
    runs = (Run(KafkaPython),)

    def work(self) -> object:
        """Read an order."""
        return self.client.read(TOPIC)
