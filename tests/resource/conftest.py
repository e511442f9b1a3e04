"""Services of the attack pack for tests of the resource. They are honest until they are turned."""

import contextlib
from collections.abc import Generator

import pytest

from backwatch.attack.protocols.server import HostileServer
from tests.resource.attaching import Serve
from tests.services.faults.hostile import hostile


@pytest.fixture
def serve() -> Generator[Serve]:
    """Start a service of a class; return it and the file of the authority to trust."""
    with contextlib.ExitStack() as stack:

        def start(kind: type[HostileServer]) -> tuple[HostileServer, str]:
            service, ca_file = stack.enter_context(hostile(kind))
            service.repent()
            return service, ca_file

        yield start
