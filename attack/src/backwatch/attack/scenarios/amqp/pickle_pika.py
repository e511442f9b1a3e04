"""D4 on pika: a queue delivers a pickle that runs a program."""

from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.amqp_pickle import QueuesPickles


class AmqpPicklePika(QueuesPickles):
    """A worker that pickles its orders itself."""

    driver = "pika"

    def meet(self) -> object:
        """Queue an order, and take one."""
        import pickle
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
            channel.basic_publish("", "orders", pickle.dumps({"order": 7}))
            _, _, body = channel.basic_get("orders", auto_ack=True)
            return pickle.loads(body or b"")
