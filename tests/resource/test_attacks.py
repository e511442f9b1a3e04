"""Each attack of the groups A to E on MySQL, HTTP, S3 and mail: bare drivers are harmed, attached ones refuse."""

import contextlib
import ssl
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import AppConfig, Scenario, discover
from backwatch.resource import ResourceUnsafe
from backwatch.resource.tls import fingerprint
from tests.resource.attached_apps import CLIENTS, attached_app

PIN: Mapping[str, Any] = {"pin": "of the honest certificate"}
REFUSED: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "http-bomb-httpx": ({"max_reply_bytes": 1 << 20}, "max_reply_bytes"),
    "http-bomb-requests": ({"max_reply_bytes": 1 << 20}, "max_reply_bytes"),
    "http-certificate-swapped": (PIN, "pin"),
    "http-drip-httpx": ({"statement_timeout_s": 2.0}, "statement_timeout_s"),
    "http-drip-requests": ({"statement_timeout_s": 2.0}, "statement_timeout_s"),
    "http-flood-httpx": ({"max_reply_bytes": 1 << 20}, "max_reply_bytes"),
    "http-flood-requests": ({"max_reply_bytes": 1 << 20}, "max_reply_bytes"),
    "http-key-follows-redirect": ({}, "hosts"), "http-next-page-elsewhere": ({}, "hosts"),
    "http-redirect-httpx": ({}, "hosts"), "http-redirect-requests": ({}, "hosts"),
    "http-retried-in-clear": ({}, "tls"), "http-second-in-clear": ({}, "tls"),
    "http-tls-lowered": ({"tls_min": "1.3"}, "tls"), "http-unverified": ({}, "tls"),
    "mysql-certificate-swapped": (PIN, "pin"), "mysql-certificate-swapped-connector": (PIN, "pin"),
    "mysql-clear-password": ({}, "auth"), "mysql-clear-password-connector": ({}, "auth"),
    "mysql-full-login-connector": ({}, "tls"), "mysql-key-from-server": ({}, "tls"),
    "mysql-local-infile": ({}, "local_infile"), "mysql-local-infile-connector": ({}, "local_infile"),
    "mysql-local-infile-refused": ({}, "local_infile"),
    "mysql-old-hash": ({}, "auth"), "mysql-old-hash-connector": ({}, "auth"),
    "mysql-result-flood": ({"max_rows": 1000}, "max_rows"),
    "mysql-result-flood-connector": ({"max_rows": 1000}, "max_rows"),
    "mysql-second-in-clear": ({"connect_timeout_s": 2.0}, "tls"),
    "mysql-tls-refused": ({}, "tls"), "mysql-tls-refused-connector": ({}, "tls"),
    "mysql-tls-stripped": ({}, "tls"), "mysql-tls-stripped-connector": ({}, "tls"),
    "mysql-unverified": ({}, "tls"), "mysql-unverified-connector": ({}, "tls"),
    "s3-pickle": ({}, "formats"), "s3-region-redirect": ({}, "hosts"),
    "smtp-certificate-swapped": (PIN, "pin"), "smtp-expired": ({}, "tls"), "smtp-in-clear": ({}, "tls"),
    "smtp-old-tls": ({}, "tls"), "smtp-plain-only": ({"auth": "strong"}, "auth"), "smtp-second-in-clear": ({}, "tls"),
    "smtp-starttls-hidden": ({}, "tls"),
}  # fmt: skip
"""Settings beside the defaults, and the check that refuses."""
NOT_REFUSED: Mapping[str, str] = {
    "http-deep-json": "the app's own parser reads it", "http-xml-entities": "the app's own parser reads it",
    "http-xml-external": "the app's own parser reads it", "http-model-orders": "the text is for a model to read",
    "mysql-canary": "each statement is an ordinary one", "mysql-end-of-life": "backwatch check reports versions",
    "mysql-error-storm": "there is no session to refuse", "mysql-forged-log": "the driver's error is the app's to show",
    "mysql-guessed": "the server is the one to refuse", "mysql-guessed-connector": "the server is the one to refuse",
    "mysql-server-changed": "certificate and key are the service's own",
    "mysql-server-changed-connector": "certificate and key are the service's own",
    "mysql-slow-answer": "the driver's own time-out ends it",
    "smtp-unverified": "the retry is verified, too",
}  # fmt: skip


def of_these_drivers(kind: type[Scenario]) -> bool:
    return kind.code[0] in "ABCDE" and (kind.client_class in CLIENTS or kind.driver == "smtplib")


SCENARIOS = {kind.name(): kind for kind in discover() if of_these_drivers(kind)}


@contextlib.contextmanager
def serve_scenario(kind: type[Scenario], folder: Path) -> Generator[tuple[HostileServer, AppConfig]]:
    authority = Authority(folder / "authority")
    service = kind.service(authority)
    service.start()
    config = AppConfig(
        port=service.port, ca_file=str(authority.ca_file), rounds=1, live=True, answers=folder / "answers"
    )
    try:
        yield service, config
    finally:
        service.stop()


def pinned(settings: Mapping[str, Any], service: HostileServer) -> Mapping[str, Any]:
    der = ssl.PEM_cert_to_DER_cert(service.certificate.chain.read_text())
    return {"pin": [fingerprint(der)]} if settings is PIN else settings


def test_each_attack_on_these_drivers_is_listed() -> None:
    assert sorted(SCENARIOS) == sorted({*REFUSED, *NOT_REFUSED})


@pytest.mark.parametrize("name", REFUSED)
def test_attached_app_works_and_refuses_the_attack_before_harm(name: str, tmp_path: Path) -> None:
    kind = SCENARIOS[name]
    settings, check = REFUSED[name]
    with serve_scenario(kind, tmp_path) as (service, config):
        app = attached_app(kind, config, pinned(settings, service))
        app.work()
        kind.turn(service)
        with pytest.raises(ResourceUnsafe) as caught:
            app.meet()
        assert caught.value.check == check
        assert not kind.captures or not kind.has_succeeded(service, None)


@pytest.mark.parametrize("name", REFUSED)
def test_bare_app_is_harmed_or_gets_an_error(name: str, tmp_path: Path) -> None:
    kind = SCENARIOS[name]
    with serve_scenario(kind, tmp_path) as (service, config):
        app = kind(config)
        app.work()
        kind.turn(service)
        try:
            got = app.meet()
        except Exception:  # noqa: BLE001  any error of a driver
            got = None
        refuses_too = got is None and kind.notices != "nothing"
        assert kind.has_succeeded(service, got) or refuses_too
