"""Fixtures of httpx and httpx2, which have the same names and behaviour."""

import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest

from backwatch.collector.probes import Probe
from backwatch.collector.probes.httpx import HttpxProbe
from backwatch.collector.probes.httpx2 import Httpx2Probe
from tests.collector.probes.recording import Recording, watching


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def probe(library: Any) -> type[Probe]:
    return {httpx: HttpxProbe, httpx2: Httpx2Probe}[library]


@pytest.fixture
def recording(probe: type[Probe]) -> Iterator[Recording]:
    with watching(probe) as recorded:
        yield recorded


@pytest.fixture
def client(library: Any, context: ssl.SSLContext) -> Iterator[Any]:
    with library.Client(verify=context, trust_env=False) as made:
        yield made
