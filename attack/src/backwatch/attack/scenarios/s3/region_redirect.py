"""C11: an object store redirects to another endpoint, and the client goes there with its login."""

from backwatch.attack.clients.boto3 import Boto3
from backwatch.attack.protocols.http import RedirectingWeb, Request, format_response
from backwatch.attack.protocols.server import LOOPBACK
from backwatch.attack.scenarios import Run, Scenario


class MovedBucket(RedirectingWeb):
    """Returns a basket; once hostile, the address of another endpoint."""

    def answer(self, request: Request) -> bytes:
        """Return the basket or a redirect."""
        if not self.hostile:
            return format_response(b"two apples", headers=(b'ETag: "1"',))
        target = b"%s:%d" % (LOOPBACK.encode(), self.elsewhere.port)
        document = (
            b"<Error><Code>PermanentRedirect</Code><Message>Address it there.</Message><Bucket>shop</Bucket><Endpoint>"
            + target + b"</Endpoint></Error>"
        )  # fmt: skip
        headers = (b"x-amz-bucket-region: us-west-2", b"Location: https://" + target + request.path)
        return format_response(document, status=b"301 Moved Permanently", headers=headers)


class S3RegionRedirect(Scenario):
    """boto3 resolves the new region's endpoint itself. If the app sets the endpoint, it stays there."""

    code = "C11"
    attack = "redirects requests for the bucket to another endpoint"
    reference = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/Redirects.html; ATT&CK T1557"
    notices = "an exception"
    rule = "redirected"
    server = MovedBucket
    captures = b"/shop/baskets/7"
    runs = (Run(Boto3),)

    def work(self) -> object:
        """Fetch an object."""
        return self.client.call("get_object", attempts=2, Bucket="shop", Key="baskets/7")["Body"].decode()
