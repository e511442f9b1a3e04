"""G10 on boto3: an attacker makes a bucket public through an app's overly powerful account. The store stays honest."""

from backwatch.attack.clients.boto3 import Boto3
from backwatch.attack.protocols.http import Logging, Request, format_response
from backwatch.attack.scenarios import Run, Scenario


class Baskets(Logging):
    """An object store in which each object is a basket."""

    def answer(self, request: Request) -> bytes:
        """Record the request, and return a basket."""
        super().answer(request)
        return format_response(b"two apples", headers=(b'ETag: "1"',))


class S3MadePublic(Scenario):
    """PutBucketAcl, from an app that reads baskets, forwards further requests and never changed an ACL."""

    code = "G10"
    attack = "opens a bucket to everybody"
    reference = "ATT&CK T1530; https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html"
    rule = "object-store-exposed"
    server = Baskets
    stays_honest = True
    captures = b"PUT /shop?acl"
    runs = (Run(Boto3),)

    def work(self) -> object:
        """Look up a basket as a visitor."""
        return self.client.call("get_object", Bucket="shop", Key="baskets/7")["Body"].decode()

    def meet(self) -> None:
        """Make the bucket public as the attacker."""
        self.client.call("put_bucket_acl", Bucket="shop", ACL="public-read")
