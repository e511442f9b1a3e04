"""Common parts of the AMQP clients."""

import pickle
from abc import abstractmethod
from collections.abc import Callable

from backwatch.attack.clients import Client


class AmqpClient(Client):
    """Queues orders and takes them, each time on a new connection."""

    @abstractmethod
    def exchange(self, body: bytes, host: str = "localhost", *, tls: bool = True) -> bytes:
        """Queue a message and return the body of the next one."""

    @abstractmethod
    def process(self, body: bytes, handle: Callable[[bytes], object], most: int) -> int:
        """Queue a message, then give each next one to ``handle``; a message at which it raises is queued again.

        Args:
            body: Body of the message.
            handle: Raises ``ValueError`` for a message that it cannot process.
            most: Maximum number of messages to take.

        Returns:
            The number of messages taken until the queue was empty.
        """

    def exchange_object(self, value: object) -> object:
        """Queue an object as a pickle and return the next object."""
        return pickle.loads(self.exchange(pickle.dumps(value)))

    def visit(self, host: str = "localhost", *, tls: bool = True) -> object:
        """Queue an order and return the next one."""
        return repr(self.exchange(b"order 7", host, tls=tls))
