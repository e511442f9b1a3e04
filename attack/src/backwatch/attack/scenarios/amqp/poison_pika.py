"""E5 on pika: ``basic_nack`` requeues by default."""

from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.poison import PATIENCE, GivesBack


class AmqpPoisonPika(GivesBack):
    """A classic queue marks a message as redelivered, but counts no deliveries."""

    driver = "pika"

    def meet(self) -> object:
        """Queue an order, process messages until one succeeds, and return the failures."""
        import json
        import ssl

        import pika

        context = ssl.create_default_context(cafile=self.config.ca_file)
        parameters = pika.ConnectionParameters(
            host="localhost", port=self.config.port, credentials=pika.PlainCredentials("shop", SECRET),
            ssl_options=pika.SSLOptions(context, "localhost"), socket_timeout=5, blocked_connection_timeout=5,
        )  # fmt: skip
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            channel.queue_declare("orders")
            channel.basic_publish("", "orders", b'{"order": 7}')
            for failed in range(PATIENCE):
                method, _, body = channel.basic_get("orders")
                if method is None:
                    return failed
                try:
                    json.loads(body or b"")
                except ValueError:
                    channel.basic_nack(method.delivery_tag)
                else:
                    channel.basic_ack(method.delivery_tag)
        return PATIENCE
