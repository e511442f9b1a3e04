"""Fixtures shared by the tests of all probes."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.collector.probes.recording import Recording, watching


@pytest.fixture
def recording(request: pytest.FixtureRequest) -> Iterator[Recording]:
    """The calls that the probes record which the test's module names in ``PROBES``."""
    recorded = Recording()
    with ExitStack() as stack:
        for kind in request.module.PROBES:
            stack.enter_context(watching(kind, recorded))
        yield recorded
