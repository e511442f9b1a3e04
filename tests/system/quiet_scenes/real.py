"""Common parts of these scenarios: the addresses of the real servers, and no stand-in for them."""

import json
import os
from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.baseline.workloads import Workload
from backwatch.attack.protocols.server import HostileServer, ServerSession

SERVERS = "QUIET_SERVERS"
"""The variable with the servers' addresses, by kind, as JSON."""


class Unused(HostileServer):
    """A placeholder service that the runner requires; the real server is elsewhere."""

    name = "unused"
    attack = reference = driver = rule = ""

    def serve(self, session: ServerSession) -> None:
        """Serve no client."""


class RealScene(Workload):
    """A scenario whose service is one of the run's real servers."""

    @classmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """Return no service of the pack."""
        del driver
        return Unused(authority)

    @staticmethod
    def server(kind: str) -> dict[str, Any]:
        """Return facts of one real server: host, ports, user, password, database, ca_file."""
        return json.loads(os.environ[SERVERS])[kind]
