"""AWS as moto serves it: S3, SQS, DynamoDB and the rest, over HTTP and HTTPS."""

import contextlib
import importlib.util
import sys
from collections.abc import Generator
from pathlib import Path

from tests.services.authority import Authority
from tests.services.process import free_port, password, private_folder, run_process
from tests.services.server import HOST, Fixture, MissingServerError, Server, accepts

PROGRAM = Path(__file__).with_name("_moto.py")
USER = "AKIAIOSFODNN7EXAMPLE"

FIXTURE = Fixture("aws", kind="aws", port=5000)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``aws`` is shared by the whole run."""
    if importlib.util.find_spec("moto") is None:
        raise MissingServerError("aws: moto is not installed, and BACKWATCH_TEST_AWS_URL is not set")
    port, tls_port, certificate = free_port(), free_port(), ca.issue()
    with private_folder("aws") as folder:
        command = [
            sys.executable, str(PROGRAM), str(port), str(tls_port), str(certificate.certificate_file),
            str(certificate.key_file),
        ]  # fmt: skip
        # The user's own AWS setup is not read, and no older botocore of a probe test.
        alone = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(folder), "PYTHONPATH": ""}
        with run_process(command, folder=folder, environment=alone, ready=accepts(tls_port), timeout_s=120):
            yield Server(
                kind="aws", port=port, tls_port=tls_port, user=USER, password=password(), ca_file=str(ca.ca_file),
                url=f"http://{HOST}:{port}", tls_url=f"https://{HOST}:{tls_port}",
            )  # fmt: skip
