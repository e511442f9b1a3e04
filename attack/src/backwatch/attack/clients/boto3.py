"""boto3, for an object store that speaks S3."""

from typing import Any

from backwatch.attack.clients import TIMEOUT_S, Client
from backwatch.attack.protocols.server import SECRET


class Boto3(Client):
    """Addresses buckets by path, and the store by its endpoint."""

    driver = "boto3"

    def call(self, operation: str, *, attempts: int = 1, **parameters: str) -> dict[str, Any]:
        """Return the response to an operation of S3, with its body as bytes."""
        import boto3
        from botocore.config import Config

        client = boto3.client(
            "s3", endpoint_url=f"https://localhost:{self.port}", verify=self.ca_file, region_name="eu-central-1",
            aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key=SECRET,
            config=Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S,
                          retries={"total_max_attempts": attempts}, s3={"addressing_style": "path"}),
        )  # fmt: skip
        response: dict[str, Any] = getattr(client, operation)(**parameters)
        return response | ({"Body": response["Body"].read()} if "Body" in response else {})
