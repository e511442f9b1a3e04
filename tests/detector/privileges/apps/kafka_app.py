"""A shop on Kafka: one topic to write, one to read in a group, one to create."""

import sys
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic


def main(url: str) -> None:
    """Run every operation once; an app that lacks a right fails. URL: host:port,ca file,user,password,prefix."""
    server, ca_file, user, password, prefix = url.split(",")
    options: dict[str, Any] = {
        "bootstrap_servers": server, "security_protocol": "SASL_SSL", "ssl_cafile": ca_file,
        "sasl_mechanism": "SCRAM-SHA-256", "sasl_plain_username": user, "sasl_plain_password": password,
        "request_timeout_ms": 10_000,
    }  # fmt: skip
    producer = KafkaProducer(**options, max_block_ms=10_000)
    try:
        producer.send(f"{prefix}-orders", b"x").get(10)
    finally:
        producer.close(5)
    consumer = KafkaConsumer(
        f"{prefix}-mails", group_id=f"{prefix}-billing", auto_offset_reset="earliest", consumer_timeout_ms=10_000,
        **options,
    )  # fmt: skip
    try:
        if next(iter(consumer), None) is None:
            raise TimeoutError("no message was delivered")
        consumer.commit()
    finally:
        consumer.close()
    admin = KafkaAdminClient(**options)
    try:
        admin.create_topics([NewTopic(f"{prefix}-reports", 1, 1)])
        admin.delete_topics([f"{prefix}-reports"])
    finally:
        admin.close()


if __name__ == "__main__":
    main(sys.argv[1])
