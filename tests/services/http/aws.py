"""AWS as moto serves it: S3, SQS, DynamoDB and the rest, over HTTP and HTTPS."""

import contextlib
import importlib.util
import sys
from collections.abc import Generator
from pathlib import Path

from tests.services.authority import Authority
from tests.services.process import free_port, password, private_folder, running
from tests.services.server import HOST, Fixture, MissingServerError, Server, accepts

PROGRAM = Path(__file__).with_name("_moto.py")
USER = "AKIAIOSFODNN7EXAMPLE"

FIXTURE = Fixture("aws", kind="aws", port=5000)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """A server of one's own; the fixture ``aws`` is the one that the whole run shares."""
    if importlib.util.find_spec("moto") is None:
        raise MissingServerError("aws: moto is not installed, and BACKWATCH_TEST_AWS_URL is not set")
    port, tls_port, certificate = free_port(), free_port(), ca.issue()
    with private_folder("aws") as folder:
        command = [
            sys.executable, str(PROGRAM), str(port), str(tls_port), str(certificate.certificate_file),
            str(certificate.key_file),
        ]  # fmt: skip
        # Nothing of the user's own AWS set-up is read, and no older botocore that a test of the probe runs on.
        alone = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(folder), "PYTHONPATH": ""}
        with running(command, folder=folder, environment=alone, ready=accepts(tls_port), timeout_s=120):
            yield Server(
                kind="aws", port=port, tls_port=tls_port, user=USER, password=password(), ca_file=str(ca.ca_file),
                url=f"http://{HOST}:{port}", tls_url=f"https://{HOST}:{tls_port}",
            )  # fmt: skip
