"""D12: an attacker writes into a topic. The app accepts the message as its own producer's."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.kafka import TOPIC, KafkaLog, Message
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario

FORGED = b'{"order": 8, "refund_to": "somebody else"}'


class _Forging(KafkaLog):
    """The attacker knows the content of an order. Its forged message lacks the key and the trace headers."""

    def message(self, offset: int) -> Message:
        return Message(value=FORGED) if self.hostile else super().message(offset)


class KafkaForged(Scenario):
    """On kafka-python: a consumer cannot see who produced a message."""

    code = "D12"
    attack = "brings a message that none of the app's producers wrote"
    reference = "https://kafka.apache.org/documentation/#security_authz; ATT&CK T1565.001"
    notices = "an order like any other"
    driver = "kafka"
    rule = "unusual-message"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the broker."""
        return _Forging(authority)

    def work(self) -> None:
        """Process an order."""
        self.meet()

    def meet(self) -> object:
        """Process an order, by a new consumer as each time."""
        from kafka import KafkaConsumer
        from kafka.structs import TopicPartition

        consumer = KafkaConsumer(
            bootstrap_servers=[f"localhost:{self.config.port}"], security_protocol="SASL_SSL", sasl_mechanism="PLAIN",
            sasl_plain_username="shop", sasl_plain_password=SECRET, ssl_cafile=self.config.ca_file,
            request_timeout_ms=5_000, auto_offset_reset="earliest", group_id=None,
        )  # fmt: skip
        try:
            consumer.assign([TopicPartition(TOPIC, 0)])
            found = consumer.poll(timeout_ms=5_000, max_records=1)
            return [record.value.decode() for records in found.values() for record in records]
        finally:
            consumer.close()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the app processed the forged order."""
        del service
        return got == [FORGED.decode()]
