"""D3 on boto3: an object store returns another pickle than the model stored there."""

import pickle

from backwatch.attack.clients.boto3 import Boto3
from backwatch.attack.protocols.http import Request, Web, format_response
from backwatch.attack.protocols.pickles import bomb
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.pickle import ReadsPickles


class ModelStore(Web):
    """Holds one model under every key."""

    def answer(self, request: Request) -> bytes:
        """Return a pickle bomb or the honest model."""
        del request
        return format_response(bomb() if self.hostile else pickle.dumps({"price": 9.9}), headers=(b'ETag: "1"',))


class S3Pickle(ReadsPickles):
    """The app loads its price model from an object store, as scikit-learn and joblib recommend."""

    server = ModelStore
    runs = (Run(Boto3),)

    def work(self) -> object:
        """Load the model."""
        return pickle.loads(self.client.call("get_object", Bucket="shop", Key="models/price.pickle")["Body"])
