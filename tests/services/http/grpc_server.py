"""A gRPC server: grpcio's own, plain and over TLS, with one method of each shape."""

import contextlib
import importlib.util
import sys
from collections.abc import Generator
from pathlib import Path

from tests.services.authority import Authority
from tests.services.process import free_port, private_folder, run_process
from tests.services.server import HOST, Fixture, MissingServerError, Server, accepts

PROGRAM = Path(__file__).with_name("_grpc.py")

FIXTURE = Fixture("grpc_server", kind="grpc", port=50051)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``grpc_server`` is shared by the whole run."""
    if importlib.util.find_spec("grpc") is None:
        raise MissingServerError("grpc: grpcio is not installed, and BACKWATCH_TEST_GRPC_URL is not set")
    port, tls_port, certificate = free_port(), free_port(), ca.issue()
    with private_folder("grpc") as folder:
        command = [
            sys.executable, str(PROGRAM), str(port), str(tls_port), str(certificate.certificate_file),
            str(certificate.key_file),
        ]  # fmt: skip
        with run_process(command, folder=folder, environment={"PYTHONPATH": ""}, ready=accepts(tls_port), timeout_s=60):
            yield Server(
                kind="grpc", port=port, tls_port=tls_port, ca_file=str(ca.ca_file), url=f"{HOST}:{port}",
                tls_url=f"{HOST}:{tls_port}",
            )  # fmt: skip
