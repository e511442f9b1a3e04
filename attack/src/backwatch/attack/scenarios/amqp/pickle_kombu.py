"""D4 on kombu: a queue delivers a pickle that runs a program. The reader accepts pickles."""

from typing import Any

from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.amqp_pickle import QueuesPickles


class AmqpPickleKombu(QueuesPickles):
    """kombu, and Celery on top of it, read pickles only where the app lists them."""

    driver = "kombu"
    option = 'accept=["pickle"]'

    def meet(self) -> object:
        """Queue an order, and take one."""
        import ssl

        from kombu.connection import Connection

        checked: Any = {"ca_certs": self.config.ca_file, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "localhost"}
        connection: Any = Connection(
            hostname="localhost", port=self.config.port, userid="shop", password=SECRET, ssl=checked, connect_timeout=5
        )
        with connection:
            queue: Any = connection.SimpleQueue("orders", serializer="pickle", accept=["pickle"])
            try:
                queue.put({"order": 7})
                message = queue.get(timeout=5)
                message.ack()
                return message.payload
            finally:
                queue.close()
