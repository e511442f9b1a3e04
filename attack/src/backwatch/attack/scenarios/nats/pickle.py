"""D4 on nats: a server delivers a pickle that runs a program when it is read."""

import pickle

from backwatch.attack.protocols.nats import NATS
from backwatch.attack.protocols.pickles import bomb
from backwatch.attack.techniques.nats import ReceivesOrders
from backwatch.attack.techniques.pickle import ReadsPickles


class _PickleNats(NATS):
    def message(self, body: bytes) -> bytes:
        return bomb() if self.hostile else super().message(body)


class NatsPickle(ReadsPickles, ReceivesOrders):
    """A worker that pickles its orders itself."""

    code = "D4"
    attack = "hands out a pickle that runs a program as soon as it is read, in a message's place"
    server = _PickleNats

    def work(self) -> object:
        """Publish an order, and read the one that arrives."""
        return pickle.loads(self.receive(pickle.dumps({"order": 7})).data)
