"""requests uses urllib3: each hop and each retry is a call, once."""

from collections.abc import Iterator

import pytest
import requests

from backwatch.collector import names
from backwatch.collector.probes.urllib3 import Urllib3Probe
from tests.collector.probes.http.web import BODY, Web
from tests.collector.probes.recording import Recording

PROBES = (Urllib3Probe,)


@pytest.fixture
def session(web: Web) -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        made.verify = web.ca_file
        yield made


def test_one_request_is_one_call(recording: Recording, session: requests.Session, web: Web) -> None:
    assert session.get(f"{web.tls_url}/plain").content == BODY
    assert [one.operation for one in recording.calls] == ["connect", "GET"]
    recorded = recording.calls[1]
    assert (recorded.session.encrypted, recorded.session.verified) == (True, "full")
    assert len(BODY) < recorded.received < len(BODY) + 1000


def test_a_redirect_that_is_followed_is_two_calls(recording: Recording, session: requests.Session, web: Web) -> None:
    assert session.get(f"{web.tls_url}/around").content == BODY
    assert [one.facts.get(names.REDIRECT_TARGET) for one in recording.of("GET")] == [f"{web.tls_url}/plain", None]


def test_a_redirect_that_is_not_followed_is_recorded(recording: Recording, session: requests.Session, web: Web) -> None:
    session.get(f"{web.tls_url}/redirect", allow_redirects=False, stream=True)
    (recorded,) = recording.of("GET")
    assert recorded.facts[names.REDIRECT_TARGET] == "http://169.254.169.254/latest/meta-data/"


def test_a_stream_is_recorded_at_its_end(recording: Recording, session: requests.Session, web: Web) -> None:
    with session.get(f"{web.url}/chunked", stream=True) as response:
        assert recording.of("GET") == []
        assert sum(len(part) for part in response.iter_content(777)) == 60_000
    (recorded,) = recording.of("GET")
    assert 60_000 < recorded.received < 60_500


def test_switched_off_verification_is_recorded(recording: Recording, session: requests.Session, web: Web) -> None:
    with pytest.warns(match="Unverified"):
        session.get(f"{web.tls_url}/plain", verify=False)
    recorded = recording.calls[-1].session
    assert (recorded.verified, recorded.requested, recorded.requested_explicit) == ("none", "require", True)


def test_an_untrusted_certificate_is_recorded(recording: Recording, web: Web) -> None:
    with requests.Session() as session:
        session.trust_env = False
        with pytest.raises(requests.exceptions.SSLError):
            session.get(f"{web.tls_url}/plain")
    (recorded,) = recording.calls
    assert (recorded.operation, type(recorded.error).__name__) == ("connect", "SSLCertVerificationError")


def test_url_contents_stay_in_the_app(recording: Recording, session: requests.Session, web: Web) -> None:
    address = web.url.removeprefix("http://")
    session.get(f"http://ann:secret@{address}/users/4711?token=secret#secret")
    recorded = recording.of("GET")[0]
    assert recorded.statement == f"GET {address}/users/?"
    assert (recorded.session.account, recorded.session.auth_method) == ("ann", "clear-password")
    assert "secret" not in repr(recording.calls)
