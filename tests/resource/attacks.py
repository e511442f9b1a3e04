"""Runs one scenario of the attack pack in this process: with the bare driver, and attached in mode enforce."""

import contextlib
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import AppConfig, Scenario
from backwatch.attack.scenarios.mongodb.second_exploited import MENDED
from backwatch.attack.techniques.unverified import TriesUnverified
from backwatch.resource import ResourceUnsafe
from backwatch.resource.tls import fingerprint
from tests.resource import attached_drivers
from tests.resource.attached_drivers import Attacher

LOGS_ANYBODY_IN = {
    "postgresql-tls-refused",
    "postgresql-tls-stripped",
    "postgresql-tls-stripped-psycopg2",
    "postgresql-tls-stripped-asyncpg",
}
"""Scenarios whose honest server asks for no password at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one run.

    Attributes:
        harmed: The attacker has what it wanted.
        check: Check that refused; empty if none did.
        error: Any other error.
    """

    harmed: bool
    check: str = ""
    error: str = ""


def run_scenario(kind: type[Scenario], *, attached: bool) -> Outcome:
    """Play one honest round, turn the server hostile, and play the round under attack."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        authority = Authority(Path(folder) / "authority")
        service = kind.service(authority)
        service.start()
        stack.callback(service.stop)
        config = AppConfig(
            port=service.port, ca_file=str(authority.ca_file), rounds=1, live=True, answers=Path(folder) / "answers"
        )
        if attached:
            attacher = Attacher(
                driver=kind.driver, port=config.port, ca_file=config.ca_file, policy=choose_policy(kind, service)
            )
            stack.enter_context(attached_drivers.attached(attacher))
        got: object = None
        check = error = ""
        try:
            app = kind(config)
            app.work()
            kind.turn(service)
            got = app.meet()
        except Exception as failed:  # noqa: BLE001  any refusal of a driver is a result here
            unsafe = find_cause(failed)
            check = unsafe.check if unsafe else ""
            error = "" if unsafe else f"{type(failed).__name__}: {failed}"[:200]
        if attached and issubclass(kind, TriesUnverified) and got is not None:
            return Outcome(harmed=False, check="tls")  # the app's careless option is gone: its second try is verified
        if not check and ("timed out" in error.lower() or "timeout" in error.lower()):
            check = "read_timeout_s"
        return Outcome(harmed=kind.has_succeeded(service, got), check=check, error=error)


def choose_policy(kind: type[Scenario], service: HostileServer) -> dict[str, Any]:
    """Return what a deploy declares beyond the defaults where an attack needs it."""
    policy: dict[str, Any] = {}
    if kind.code in ("A6", "A13"):
        chain = service.certificate.chain.read_text()
        policy["pin"] = [fingerprint(ssl.PEM_cert_to_DER_cert(chain[: chain.index("-----END") + 26]))]
    if kind.code == "A14":
        policy["min_version"] = {"psycopg": "14", "pymysql": "8.0", "pymongo": MENDED}[kind.driver]
    if kind.code == "A8":
        policy["tls_min"] = "1.3"
    if kind.code in ("B4", "B7"):
        policy["auth"] = "strong"
    if kind.name() in LOGS_ANYBODY_IN:
        policy["auth"] = "any"
    return policy


def find_cause(error: BaseException | None) -> ResourceUnsafe | None:
    """Return the refusal that a driver wrapped."""
    for _ in range(20):
        if error is None or isinstance(error, ResourceUnsafe):
            return error
        error = error.__cause__ or error.__context__
    return None
