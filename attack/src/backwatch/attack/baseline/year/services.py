"""Services of the scenarios as sessions see them: an endpoint, its certificate, its address, its version."""

import hashlib
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from backwatch.attack.baseline.year.calendar import BEGIN_NS, SECOND_NS
from backwatch.collector.runtime.record import Session

_BEGIN: Final = datetime.fromtimestamp(BEGIN_NS // SECOND_NS, UTC)
PRIVATE_CA: Final = "CN=Example Internal CA 1,O=Example GmbH"
LETS_ENCRYPT: Final = ("CN=R12,O=Let's Encrypt,C=US", "CN=R13,O=Let's Encrypt,C=US")
GOOGLE_TRUST: Final = ("CN=WR1,O=Google Trust Services,C=US", "CN=WR3,O=Google Trust Services,C=US")
AMAZON: Final = ("CN=Amazon RSA 2048 M02,O=Amazon,C=US", "CN=Amazon RSA 2048 M03,O=Amazon,C=US")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's certificate, of which the client knows no more than this."""

    sha256: str
    issuer: str
    subject: str
    not_before: str
    not_after: str


def issue(source: random.Random, issuer: str, subject: str, day: float, life_days: float) -> Certificate:
    """Return a new certificate that is valid from this day on."""
    begin = _BEGIN + timedelta(days=day, hours=-1)
    return Certificate(
        hashlib.sha256(source.randbytes(16)).hexdigest(), issuer, subject, _text(begin),
        _text(begin + timedelta(days=life_days)),
    )  # fmt: skip


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Node:
    """One server of a service.

    Attributes:
        server_id: Identity that it announces; empty: none.
    """

    peer: str
    certificate: Certificate | None
    version: str = ""
    server_id: str = ""


@dataclass(slots=True)
class Service:
    """A backing service as an app's driver sees it.

    Attributes:
        nodes: Servers that respond now; a new connection goes to one of them.
    """

    system: str
    address: str
    port: int
    namespace: str
    account: str
    nodes: list[Node]
    auth_method: str = ""
    _sessions: dict[tuple[Node, str], Session] = field(default_factory=dict[tuple[Node, str], Session])

    def connect(self, source: random.Random, account: str = "") -> Session:
        """Return the facts of a connection to one of the nodes."""
        node = source.choice(self.nodes)
        account = account or self.account
        found = self._sessions.get((node, account))
        if found is None:
            if len(self._sessions) > 1_000:
                self._sessions.clear()
            found = self._sessions[node, account] = self._session(node, account)
        return found

    def _session(self, node: Node, account: str) -> Session:
        plain = Session(
            system=self.system, address=self.address, port=self.port, namespace=self.namespace, account=account,
            peer_address=node.peer, peer_port=self.port, server_version=node.version, server_id=node.server_id,
            auth_method=self.auth_method,
        )  # fmt: skip
        if node.certificate is None:
            return replace(plain, encoded=[])
        return replace(
            plain, requested="verify-full", requested_explicit=True, encrypted=True, tls_version="1.3",
            cipher="TLS_AES_256_GCM_SHA384", verified="full", certificate_sha256=node.certificate.sha256,
            issuer=node.certificate.issuer, subject=node.certificate.subject,
            not_before=node.certificate.not_before, not_after=node.certificate.not_after, encoded=[],
        )  # fmt: skip


def postgresql(source: random.Random, version: str = "17.2", issuer: str = PRIVATE_CA) -> Service:
    """Return a PostgreSQL server with a certificate of the company's authority."""
    certificate = issue(source, issuer, "CN=db.shop.internal", -20, 730)
    node = Node("10.20.0.11", certificate, version, str(source.getrandbits(60)))
    return Service("postgresql", "db.shop.internal", 5432, "shop", "shop_app", [node], "scram-sha-256")


def redis(source: random.Random, version: str = "8.2.3") -> Service:
    """Return a Redis server with a certificate of the company's authority."""
    certificate = issue(source, PRIVATE_CA, "CN=cache.shop.internal", -20, 730)
    node = Node("10.20.0.21", certificate, version, source.randbytes(20).hex())
    return Service("redis", "cache.shop.internal", 6379, "0", "default", [node])


def https(source: random.Random, host: str, issuer: str, life_days: float, age_days: float = 10) -> Service:
    """Return a web service of another company."""
    certificate = issue(source, issuer, f"CN={host}", -age_days, life_days)
    return Service("http", host, 443, "", "", [Node("198.51.100.20", certificate)])
