"""MongoDB's protocol: FerretDB, plain and with TLS, without accounts (``mongo_set`` has them)."""

import contextlib
import os
from collections.abc import Generator

from tests.services.authority import Authority
from tests.services.process import ROOT, free_port, private_folder, run_process
from tests.services.server import HOST, Fixture, MissingServerError, Server, accepts

PROGRAM = ROOT / ".tools" / "bin" / "ferretdb"

FIXTURE = Fixture("mongodb", kind="mongodb", port=27017)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``mongodb`` is shared by the whole run."""
    if not os.access(PROGRAM, os.X_OK):
        raise MissingServerError("mongodb: .tools/bin/ferretdb is not built (`make test` builds it where there is Go), "
                                 "and BACKWATCH_TEST_MONGODB_URL is not set")  # fmt: skip
    port, tls_port, certificate = free_port(), free_port(), ca.issue()
    with private_folder("mongodb") as folder:
        (folder / "data").mkdir()
        command = [
            str(PROGRAM), f"{HOST}:{port}", f"{HOST}:{tls_port}",
            str(certificate.certificate_file), str(certificate.key_file), str(folder / "data"),
        ]  # fmt: skip
        with run_process(command, folder=folder, ready=accepts(tls_port)):
            yield Server(
                kind="mongodb", port=port, tls_port=tls_port, ca_file=str(ca.ca_file),
                url=f"mongodb://{HOST}:{port}/shop",
                tls_url=f"mongodb://{HOST}:{tls_port}/shop?tls=true&tlsCAFile={ca.ca_file}",
            )  # fmt: skip
