"""A1 on pika: a second broker is attached by ``amqp://``."""

from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.second import AttachesInClear


class AmqpSecond(AttachesInClear):
    """pika has no TLS unless it is given options for it; PLAIN sends the password itself."""

    driver = "pika"
    server = AMQP

    def visit(self, host: str, *, careful: bool) -> object:
        """Queue an order, and take one."""
        import ssl

        import pika

        context = ssl.create_default_context(cafile=self.config.ca_file)
        parameters = pika.ConnectionParameters(
            host=host, port=self.config.port, credentials=pika.PlainCredentials("shop", SECRET), socket_timeout=5,
            ssl_options=pika.SSLOptions(context, host) if careful else None, blocked_connection_timeout=5,
        )  # fmt: skip
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            channel.queue_declare("orders")
            channel.basic_publish("", "orders", b"order 7")
            _, _, body = channel.basic_get("orders", auto_ack=True)
            return repr(body)
