"""A shop on RabbitMQ: every name needs a permission that another one does not give."""

import sys

import pika


def main(url: str) -> None:
    """Run every operation once; an app that lacks a permission fails."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        channel.queue_declare("orders")
        channel.exchange_declare("events", "topic")
        channel.queue_bind("orders", "events", "order.*")
        channel.basic_publish("audit", "line", b"x")
        channel.basic_publish("", "orders", b"x")
        channel.basic_get("mails", auto_ack=True)
        channel.queue_purge("orders")
        channel.queue_declare("", exclusive=True)
        channel.queue_delete("old.orders")
        channel.basic_get("orders")  # an asynchronous refusal of a message closes the channel by now
    finally:
        connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
