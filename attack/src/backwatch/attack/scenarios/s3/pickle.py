"""D3 on boto3: an object store returns another pickle than the model stored there."""

import pickle

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Request, Web, answered
from backwatch.attack.protocols.pickles import bomb
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.pickle import ReadsPickles


class _ObjectStore(Web):
    def answer(self, request: Request) -> bytes:
        del request
        return answered(bomb() if self.hostile else pickle.dumps({"price": 9.9}), headers=(b'ETag: "1"',))


class S3Pickle(ReadsPickles):
    """The app loads its price model from an object store, as scikit-learn and joblib recommend."""

    driver = "boto3"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a store that holds one object under every key."""
        return _ObjectStore(authority)

    def work(self) -> None:
        """Load the model."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import boto3
        from botocore.config import Config

        client = boto3.client(
            "s3", endpoint_url=f"https://localhost:{self.config.port}", verify=self.config.ca_file,
            region_name="eu-central-1", aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key=SECRET,
            config=Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1},
                          s3={"addressing_style": "path"}),
        )  # fmt: skip
        return pickle.loads(client.get_object(Bucket="shop", Key="models/price.pickle")["Body"].read())
