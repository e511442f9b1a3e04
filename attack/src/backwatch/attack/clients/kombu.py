"""kombu, the messaging library below Celery."""

import ssl
from contextlib import closing
from typing import Any

from backwatch.attack.clients import TIMEOUT_S, Client
from backwatch.attack.protocols.server import SECRET


class Kombu(Client):
    """A client that reads a pickle only if the app lists the format in ``accept``."""

    driver = "kombu"

    def exchange_object(self, value: object) -> object:
        """Queue an object as a pickle and return the next object."""
        from kombu.connection import Connection

        tls_options: Any = {"ca_certs": self.ca_file, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "localhost"}
        connection: Any = Connection(
            hostname="localhost", port=self.port, userid="shop", password=SECRET, ssl=tls_options,
            connect_timeout=TIMEOUT_S,
        )  # fmt: skip
        with connection, closing(connection.SimpleQueue("orders", serializer="pickle", accept=["pickle"])) as queue:
            queue.put(value)
            message = queue.get(timeout=TIMEOUT_S)
            message.ack()
            return message.payload
