"""Fixtures shared by the tests of HTTP clients."""

import ssl
from collections.abc import Iterator

import pytest
import urllib3

from tests.collector.probes.http.web import Web, shared
from tests.services.authority import Authority


@pytest.fixture
def web(ca: Authority) -> Web:
    """HTTP servers of the standard library, which stay until the process ends."""
    return shared(ca)


@pytest.fixture
def context(web: Web) -> ssl.SSLContext:
    """Return a client's verifying TLS."""
    return ssl.create_default_context(cafile=web.ca_file)


@pytest.fixture
def pool(web: Web) -> Iterator[urllib3.PoolManager]:
    """A verifying pool of urllib3 that repeats nothing."""
    with urllib3.PoolManager(ca_certs=web.ca_file, retries=False) as pool:
        yield pool
