"""G10: an attacker abuses an object store through an app's overly powerful account. The store stays honest."""

from abc import abstractmethod
from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Request, Web, answered
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario

BUCKETS = (
    b"<ListAllMyBucketsResult><Owner><ID>shop</ID></Owner><Buckets><Bucket><Name>shop-backups</Name></Bucket></Buckets>"
    b"</ListAllMyBucketsResult>"
)


class ObjectStore(Web):
    """A store of one object, and one list of buckets."""

    def answer(self, request: Request) -> bytes:
        """Record the request, and respond."""
        self.keep(request.method + b" " + request.path)
        return answered(
            BUCKETS if request.path in (b"/", b"/?x-id=ListBuckets") else b"two apples", headers=(b'ETag: "1"',)
        )


class AbusedBucket(Scenario):
    """An app that reads baskets from a bucket, on boto3, and forwards further requests."""

    code = "G10"
    driver = "boto3"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that stays honest."""
        return ObjectStore(authority)

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Leave the server honest. The attacker comes through the app."""
        service.kept.clear()

    def open_client(self) -> Any:
        """Return the library's client, over verified TLS."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3", endpoint_url=f"https://localhost:{self.config.port}", verify=self.config.ca_file,
            region_name="eu-central-1", aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key=SECRET,
            config=Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1},
                          s3={"addressing_style": "path"}),
        )  # fmt: skip

    def hand_on(self, operation: str, **parameters: str) -> dict[str, Any]:
        """Forward a visitor's request, as the app's support page does."""
        answer = getattr(self.open_client(), operation)(**parameters)
        if "Body" in answer:
            answer["Body"] = answer["Body"].read().decode()
        return answer

    def work(self) -> None:
        """Look up a basket as a visitor."""
        self.hand_on("get_object", Bucket="shop", Key="baskets/7")

    @abstractmethod
    def meet(self) -> object:
        """Send the attacker's request."""
