"""Sessions with an older TLS version than the usual one of their resource."""

from typing import Any

import pytest

from backwatch.collector import names
from backwatch.detector.derived.text_columns import tls_rank
from tests.detector.stories import DAY, SAFE, at, list_fired, past


def in_version(version: str) -> dict[str, Any]:
    return {**SAFE, names.TLS_VERSION: version, names.TLS_CIPHER: "ECDHE-RSA-AES256-GCM-SHA384"}


def test_older_tls_version_raises_alerts_until_it_is_usual() -> None:
    lowered = [at(3 * DAY + i * 600, in_version("1.2")) for i in range(3)]
    assert list_fired(past(in_version("1.3")), lowered) == [{"tls-lowered"}] * 3
    assert list_fired(past(in_version("1.3")), [at(3 * DAY, in_version("1.3"))]) == [set()]


def test_newer_tls_version_raises_nothing() -> None:
    assert list_fired(past(in_version("1.2")), [at(3 * DAY, in_version("1.3"))]) == [set()]


def test_version_unused_for_a_week_raises_an_alert_on_return() -> None:
    upgraded = [at(3 * DAY + i * DAY / 4, in_version("1.3")) for i in range(60)]
    assert list_fired(past(in_version("1.2")), upgraded, [at(19 * DAY, in_version("1.2"))]) == [{"tls-lowered"}]
    soon = upgraded[:8]
    assert list_fired(past(in_version("1.2")), soon, [at(5.5 * DAY, in_version("1.2"))]) == [set()]


def test_version_in_use_for_a_week_becomes_usual() -> None:
    lowered = [at(3 * DAY + i * DAY / 4, in_version("1.2")) for i in range(30)]
    raised = list_fired(past(in_version("1.3")), lowered)
    assert raised[0] == {"tls-lowered"}
    assert raised[-1] == set()


def test_outdated_version_raises_only_its_own_rule() -> None:
    assert list_fired(past(in_version("1.3")), [at(3 * DAY, in_version("1.1"))]) == [{"weak-tls"}]


def test_old_and_new_nodes_of_the_first_hour_are_all_known() -> None:
    turns = [at(i * 10, in_version("1.2" if i % 3 else "1.3")) for i in range(300)]
    assert set[str]().union(*list_fired(turns)) == set()
    assert list_fired(turns, [at(DAY, in_version("1.2"))]) == [set()]


def test_no_alert_before_the_resource_is_known() -> None:
    assert list_fired(past(in_version("1.3"), 20), [at(3 * DAY, in_version("1.2"))]) == [set()]


def test_changed_certificate_raises_only_its_own_rule() -> None:
    mallory = {**in_version("1.2"), names.CERT_SHA256: "bb"}
    assert list_fired(past(in_version("1.3")), [at(3 * DAY, mallory)]) == [{"certificate-changed"}]


@pytest.mark.parametrize("text", ["", "QUIC", "?" * 300])
def test_unknown_version_text_has_no_rank(text: str) -> None:
    assert tls_rank(text) == -1
