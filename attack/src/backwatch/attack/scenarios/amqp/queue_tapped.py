"""G6 on pika: the attacker's queue is bound to an exchange, and receives every message."""

from backwatch.attack.techniques.amqp_abused import AbusedBroker


class AmqpTapped(AbusedBroker):
    """``queue.bind``, from an app whose queues are bound already."""

    attack = "binds a queue of its own to an exchange, and gets a copy of each message"
    reference = "ATT&CK T1020; https://www.rabbitmq.com/docs/exchanges"
    rule = "queue-binding-added"
    chosen = ("queue_bind", "copies", "amq.topic", "#")
    captures = b"\x00\x32\x00\x14"
