"""G10 on boto3: an attacker makes a bucket public."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.bucket import AbusedBucket


class S3MadePublic(AbusedBucket):
    """PutBucketAcl, from an app that never changed an ACL."""

    attack = "opens a bucket to everybody"
    reference = "ATT&CK T1530; https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html"
    rule = "object-store-exposed"

    def meet(self) -> object:
        """Make the bucket public as the attacker."""
        self.hand_on("put_bucket_acl", Bucket="shop", ACL="public-read")
        return None

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the service received the command."""
        del got
        return any(asked.startswith(b"PUT /shop?acl") for asked in service.kept)
