"""OpenSearch under Elasticsearch's name, for its clients (see ``_search_front.py``); plain, and behind TLS."""

import contextlib
from collections.abc import Generator

from tests.services.authority import Authority
from tests.services.http import opensearch
from tests.services.http._search_front import front
from tests.services.process import password
from tests.services.server import HOST, Fixture, Server

FIXTURE = Fixture("elasticsearch", kind="elasticsearch", port=9200)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``elasticsearch`` is shared by the whole run."""
    user, secret, certificate = opensearch.USER, password(), ca.issue()
    pair = str(certificate.certificate_file), str(certificate.key_file)
    with (
        opensearch.node() as behind,
        front(behind, user, secret, elastic=True) as port,
        front(behind, user, secret, elastic=True, certificate=pair) as tls_port,
    ):
        yield Server(
            kind="elasticsearch", port=port, tls_port=tls_port, user=user, password=secret, ca_file=str(ca.ca_file),
            url=f"http://{HOST}:{port}", tls_url=f"https://{HOST}:{tls_port}",
        )  # fmt: skip
