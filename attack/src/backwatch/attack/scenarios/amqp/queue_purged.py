"""G6 on pika: a queue of orders is emptied."""

from backwatch.attack.techniques.amqp_abused import AbusedBroker


class AmqpPurged(AbusedBroker):
    """``queue.purge``, from an app that never used it."""

    attack = "empties a queue of unread messages"
    reference = "ATT&CK T1485; https://www.rabbitmq.com/docs/queues"
    rule = "queue-purged"
    chosen = ("queue_purge", "orders")
    captures = b"\x00\x32\x00\x1e"
