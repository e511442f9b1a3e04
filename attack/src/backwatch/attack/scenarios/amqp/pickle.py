"""D4: a queue delivers a pickle that runs a program."""

from backwatch.attack.clients.aio_pika import AioPika
from backwatch.attack.clients.kombu import Kombu
from backwatch.attack.clients.pika import Pika
from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.protocols.pickles import bomb
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.pickle import ReadsPickles


class BombQueue(AMQP):
    """Delivers a pickle bomb, once hostile."""

    def message(self, body: bytes) -> bytes:
        """Return the bomb or the honest message."""
        return bomb() if self.hostile else super().message(body)


class AmqpPickle(ReadsPickles):
    """A worker that queues Python objects. kombu, and so Celery, read pickles only where the app lists them."""

    code = "D4"
    attack = "hands out a pickle that runs a program as soon as it is read, in a message's place"
    reference = "CVE-2021-23727; https://docs.python.org/3/library/pickle.html; ATT&CK T1059.006"
    server = BombQueue
    runs = (Run(AioPika, "aio-pika"), Run(Kombu, "kombu", option='accept=["pickle"]'), Run(Pika, "pika"))

    def work(self) -> object:
        """Queue an order, and take one."""
        return self.client.exchange_object({"order": 7})
