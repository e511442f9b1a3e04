"""Attacks of groups A to E: they harm an app with the bare driver, and are refused where the same app attaches."""

import pytest

from backwatch.attack import scenarios
from backwatch.attack.scenarios import Scenario
from tests.resource.attached_drivers import CONSTRUCTORS
from tests.resource.attacks import run_scenario

pytestmark = [pytest.mark.heavy, pytest.mark.spread]
KINDS = [kind for kind in scenarios.discover() if kind.code[0] in "ABCDE" and kind.driver in CONSTRUCTORS]
CHECKS = {
    "A": {"tls", "tls_min", "pin", "hosts", "addresses", "min_version"},
    "B": {"auth", "tls", "hosts"},
    "C": {"hosts", "addresses"},
    "D": {"local_infile", "formats", "match_replies", "max_rows", "max_reply_bytes"},
    "E": {"max_reply_bytes", "read_timeout_s", "statement_timeout_s", "connect_timeout_s"},
}
"""The right checks for each group."""
NOTHING_TO_REFUSE = {
    "A10": "the right key and a newer version: server-changed reports it",
    "B10": "the service refuses logins itself: login-failures reports them",
    "D5": "the app's own parser of XML or JSON decides",
    "D8": "the driver hands notices to the app's callback: server-notice-flood reports them",
    "D10": "an error's text is shown by the app's log: deceptive-error-text reports it",
    "D11": "a canary row is data like any other: canary-returned reports it",
    "D12": "a forged message is a message like any other: unusual-message reports it",
    "D13": "a model's words are text like any other: prompt-injection-in-response reports them",
    "E4": "an error is an answer: error-storm reports many",
    "E5": "the app decides how often it gives a message back: redelivery-loop reports it",
}
"""By code of the catalogue."""
CANNOT = {
    "amqp-pickle-pika": "pika hands out bytes, and the app unpickles them itself",
    "amqp-pickle-aio-pika": "aio-pika hands out bytes, and the app unpickles them itself",
    "postgresql-scram-bomb": "libpq counts the rounds itself",
    "postgresql-scram-bomb-psycopg2": "libpq counts the rounds itself",
    "postgresql-slow-answer": "libpq waits by itself",
}
"""By name: the client library leaves no place for a check; the guide's table lists it."""
REFUSED_BY_THE_DRIVER_ITSELF = {
    "memcached-other-key", "mysql-local-infile-connector", "mysql-local-infile-refused", "mysql-tls-refused",
    "mysql-tls-refused-connector", "postgresql-tls-refused", "redis-moved", "s3-region-redirect",
    "smtp-starttls-hidden",
}  # fmt: skip
"""The bare driver is not harmed by these."""
WITHOUT_A_CHECKS_NAME = {"postgresql-scram-bomb-asyncpg"}
"""The app catches the refusal itself."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name())
def test_attack_that_harms_a_bare_app_is_refused_where_it_attaches(kind: type[Scenario]) -> None:
    if kind.code in NOTHING_TO_REFUSE or kind.name() in CANNOT:
        pytest.skip(NOTHING_TO_REFUSE.get(kind.code) or CANNOT[kind.name()])
    outcome = run_scenario(kind, attached=True)
    assert not outcome.harmed
    if kind.name() not in WITHOUT_A_CHECKS_NAME:
        assert outcome.check in CHECKS[kind.code[0]], outcome.error
    if kind.name() not in REFUSED_BY_THE_DRIVER_ITSELF:
        assert run_scenario(kind, attached=False).harmed


def test_exceptions_name_scenarios_that_exist() -> None:
    names, codes = {kind.name() for kind in KINDS}, {kind.code for kind in scenarios.discover()}
    assert {*CANNOT, *REFUSED_BY_THE_DRIVER_ITSELF, *WITHOUT_A_CHECKS_NAME} <= names
    assert set(NOTHING_TO_REFUSE) <= codes


def test_most_attacks_are_refused() -> None:
    refused = [kind for kind in KINDS if kind.code not in NOTHING_TO_REFUSE and kind.name() not in CANNOT]
    assert len(refused) >= 75
