"""kafka-python, with a new consumer or producer each time."""

from contextlib import closing
from typing import Any

from backwatch.attack.clients import TIMEOUT_S, Client
from backwatch.attack.protocols.server import SECRET

TIMEOUT_MS = TIMEOUT_S * 1_000


class KafkaPython(Client):
    """Connects to every broker in the cluster's metadata."""

    driver = "kafka"

    def options(self) -> dict[str, Any]:
        """Return the options of a verified session."""
        return {
            "bootstrap_servers": [f"localhost:{self.port}"], "security_protocol": "SASL_SSL",
            "sasl_mechanism": "PLAIN", "sasl_plain_username": "shop", "sasl_plain_password": SECRET,
            "ssl_cafile": self.ca_file, "request_timeout_ms": TIMEOUT_MS,
        }  # fmt: skip

    def read(self, topic: str) -> list[str]:
        """Return the first message of a topic."""
        from kafka import KafkaConsumer
        from kafka.structs import TopicPartition

        with closing(KafkaConsumer(**self.options(), auto_offset_reset="earliest", group_id=None)) as consumer:
            consumer.assign([TopicPartition(topic, 0)])
            found = consumer.poll(timeout_ms=TIMEOUT_MS, max_records=1)
            return [record.value.decode() for records in found.values() for record in records]

    def send(self, topic: str, value: bytes) -> int:
        """Write a message to a topic and return its offset."""
        from kafka import KafkaProducer

        producer = KafkaProducer(**self.options(), enable_idempotence=False, retries=0, max_block_ms=TIMEOUT_MS)
        try:
            return producer.send(topic, value).get(timeout=TIMEOUT_S).offset
        finally:
            producer.close(timeout=2)
