"""A hostile service of the attack pack, for replies that no honest one sends."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer


@contextmanager
def hostile(kind: type[HostileServer]) -> Generator[tuple[HostileServer, str]]:
    """Yield the service, and the file of the authority to trust."""
    with tempfile.TemporaryDirectory() as folder:
        service = kind(Authority(Path(folder) / "authority"))
        service.start()
        service.turn()
        try:
            yield service, str(service.authority.ca_file)
        finally:
            service.stop()
