"""ldap3 against a real slapd: binds, searches, changes and referrals; never a value."""

import contextlib
import ssl
import time
from collections.abc import Iterator
from typing import Any

import ldap3
import pytest
from ldap3.core.exceptions import LDAPException, LDAPInvalidFilterError, LDAPSocketOpenError, LDAPStartTLSError

from backwatch.collector import names
from backwatch.collector.probes.ldap3 import Ldap3Probe
from backwatch.collector.redaction import ldap as redact
from tests.collector.probes.internet.directory import QUIET, bind
from tests.collector.probes.recording import Recording, watching
from tests.contract.exercises.ldap3 import NEW, make_server, plain
from tests.services.authority import Authority
from tests.services.internet.ldap import BASE, COUNT, ELSEWHERE, PEOPLE, VERSION, run_server
from tests.services.overlays import not_overlaid, run_tests_with
from tests.services.server import Server

PROBES = (Ldap3Probe,)
SHAPE = "ou=?,dc=?,dc=?"


@pytest.fixture
def client(recording: Recording, ldap_server: Server) -> Iterator[ldap3.Connection]:
    made = bind(ldap_server)
    recording.calls.clear()
    yield made
    made.unbind()


def get_recorded(recording: Recording) -> list[tuple[str, str, int, int]]:
    return [(one.operation, one.statement, one.rows_returned, one.rows_affected) for one in recording.calls]


# --- the session ---


def test_a_session_by_starttls_is_recorded_step_by_step(recording: Recording, ldap_server: Server) -> None:
    client = ldap3.Connection(plain(ldap_server), ldap_server.user, ldap_server.password)
    client.open()
    client.start_tls()
    client.bind()
    client.search(PEOPLE, "(&(objectClass=inetOrgPerson)(uid=user1))", attributes=["mail", "cn"])
    client.unbind()
    assert get_recorded(recording) == [
        ("connect", "", -1, -1), ("starttls", "", -1, -1), ("bind", "", -1, -1),
        ("search", f"search {SHAPE} subtree (&(objectClass=?)(uid=?)) cn,mail", 1, -1), ("unbind", "", -1, -1),
    ]  # fmt: skip
    connect, starttls, bind, search, _ = recording.calls
    assert (connect.session.encrypted, connect.session.requested) == (None, "disable")  # StartTLS may follow
    assert (starttls.session.encrypted, starttls.session.verified) == (True, "full")
    assert (starttls.session.requested, starttls.session.requested_explicit) == ("verify-full", True)
    assert dict(starttls.session.extra) == {names.STARTTLS_OFFERED: True}
    assert (bind.session.account, bind.session.auth_method) == (ldap_server.user, "clear-password")
    assert search.session is bind.session
    assert len(search.session.certificate_sha256) == 64
    assert (search.session.peer_address, search.session.peer_port) == ("127.0.0.1", ldap_server.port)
    assert 100 < search.sent < 400
    assert bind.received > 20_000 > search.received > 100  # the schema, which the library read to know it
    assert ldap_server.password not in repr(recording.calls)


@pytest.mark.parametrize(
    ("options", "requested", "verified"),
    [
        ({}, "require", "none"),
        ({"validate": ssl.CERT_REQUIRED}, "verify-full", "full"),
        ({"validate": ssl.CERT_OPTIONAL}, "verify-full", "full"),
        ({"validate": ssl.CERT_REQUIRED, "valid_names": ["*"]}, "verify-ca", "chain"),
    ],
)
def test_verification_is_reported(
    recording: Recording, ldap_server: Server, options: dict[str, Any], requested: str, verified: str
) -> None:
    tls = ldap3.Tls(ca_certs_file=ldap_server.ca_file, **options)
    client = ldap3.Connection(make_server(ldap_server, tls=tls, **QUIET), auto_bind=True)
    client.unbind()
    session = recording.of("connect")[0].session
    assert (session.requested, session.requested_explicit, session.verified) == (requested, True, verified)
    assert (session.encrypted, session.tls_version) == (True, "1.3")


def test_without_tls_a_bind_is_recorded_as_plaintext(recording: Recording, ldap_server: Server) -> None:
    client = ldap3.Connection(ldap3.Server(ldap_server.host, ldap_server.port), ldap_server.user, ldap_server.password)
    client.bind()
    client.unbind()
    session = recording.of("bind")[0].session
    assert (session.encrypted, session.requested, session.requested_explicit) == (False, "disable", False)


def test_a_server_that_hides_starttls_is_recorded(recording: Recording, ca: Authority) -> None:
    with run_server(ca, tls=False) as server:
        client = ldap3.Connection(ldap3.Server(server.host, server.port, **QUIET))
        with pytest.raises(LDAPStartTLSError):
            client.start_tls()
        client.bind()
        client.unbind()
    (starttls,), (bind,) = recording.of("starttls"), recording.of("bind")
    assert isinstance(starttls.error, LDAPStartTLSError)
    assert (bind.session.encrypted, bind.session.requested) == (False, "require")
    assert dict(bind.session.extra) == {names.STARTTLS_OFFERED: False}


def test_an_untrusted_certificate_is_reported(recording: Recording, ldap_server: Server) -> None:
    wary = ldap3.Tls(validate=ssl.CERT_REQUIRED)
    with pytest.raises(LDAPSocketOpenError):
        ldap3.Connection(make_server(ldap_server, tls=wary), auto_bind=True)
    client = ldap3.Connection(plain(ldap_server, tls=wary))
    with pytest.raises(LDAPException):
        client.start_tls()
    for one in (recording.of("connect")[0], recording.of("starttls")[0]):
        assert (type(one.error).__name__, one.session.encrypted) == ("SSLCertVerificationError", None)


def test_a_certificate_for_another_host_is_reported(recording: Recording, ca: Authority) -> None:
    with run_server(ca, "other.example") as server:
        with pytest.raises(LDAPSocketOpenError):
            ldap3.Connection(make_server(server), auto_bind=True)
        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=server.ca_file, valid_names=["other.example"])
        ldap3.Connection(make_server(server, tls=tls, **QUIET), auto_bind=True).unbind()
    failed, connect = recording.of("connect")
    assert (type(failed.error).__name__, failed.session.verified) == ("LDAPCertificateError", "")
    assert connect.session.verified == "full"


def test_a_server_that_is_not_there_is_recorded(recording: Recording) -> None:
    with pytest.raises(LDAPSocketOpenError):
        ldap3.Connection(ldap3.Server("127.0.0.1", 1), auto_bind=True)
    (connect,) = recording.calls
    assert (connect.operation, connect.session.address, connect.session.port) == ("connect", "127.0.0.1", 1)


def test_the_servers_version_is_recorded_where_the_app_has_it_read(recording: Recording, ldap_server: Server) -> None:
    for info, version in ((ldap3.ALL, f"OpenLDAP {VERSION}"), (ldap3.NONE, ""), (ldap3.OFFLINE_SLAPD_2_4, "")):
        recording.calls.clear()
        ldap3.Connection(make_server(ldap_server, get_info=info), auto_bind=True).unbind()
        assert {one.session.server_version for one in recording.of("bind")} == {version}
        assert [one.operation for one in recording.calls] == ["connect", "bind", "unbind"]


def test_a_unix_socket_has_the_kernels_peer(recording: Recording, ldap_server: Server) -> None:
    if not ldap_server.socket:
        pytest.skip("this server has no unix socket")
    url = "ldapi://" + ldap_server.socket.replace("/", "%2F")
    directory = ldap3.Server(url, **QUIET)
    client = ldap3.Connection(directory, authentication=ldap3.SASL, sasl_mechanism=ldap3.EXTERNAL, sasl_credentials="")
    assert client.bind()
    client.search(BASE, "(uid=*)")
    client.unbind()
    (search,) = recording.of("search")
    assert (search.session.transport, search.session.address) == ("unix", ldap_server.socket)
    assert (search.session.auth_method, search.session.account) == ("external", "")  # the server alone knows
    assert (search.session.encrypted, search.sent, search.rows_returned) == (False, -1, COUNT)


def test_a_connection_that_is_older_than_the_probe_is_recorded(ldap_server: Server) -> None:
    client = bind(ldap_server)
    with watching(Ldap3Probe) as recording:
        client.search(PEOPLE, "(uid=user1)")
    client.unbind()
    (search,) = recording.calls
    assert (search.session.account, search.session.encrypted) == (ldap_server.user, True)
    assert 0 < search.received < 1_000


# --- accounts ---


def test_a_bind_that_is_refused_is_recorded_with_the_servers_word(recording: Recording, ldap_server: Server) -> None:
    client = ldap3.Connection(make_server(ldap_server, **QUIET), f"uid=user1,{PEOPLE}", "secret-guess")
    assert not client.bind()
    client.search(PEOPLE, "(uid=user1)")
    client.unbind()
    (bind,), (search,) = recording.of("bind"), recording.of("search")
    assert (bind.error, bind.facts[names.STATUS_CODE]) == ("invalidCredentials", "49")
    assert bind.session.account == f"uid=user1,{PEOPLE}"
    assert search.session.account == ""
    assert "secret-guess" not in repr(recording.calls)


def test_binding_anew_is_recorded(recording: Recording, client: ldap3.Connection, ldap_server: Server) -> None:
    client.rebind(f"uid=user2,{PEOPLE}", "secret2")
    client.search(PEOPLE, "(uid=user1)")
    client.user = None
    client.rebind(authentication=ldap3.ANONYMOUS)
    client.search(PEOPLE, "(uid=user1)")
    one, other = recording.of("search")
    assert (one.session.account, one.session.auth_method) == (f"uid=user2,{PEOPLE}", "clear-password")
    assert (other.session.account, other.session.auth_method) == ("", "none")
    assert one.session.certificate_sha256 == other.session.certificate_sha256 != ""


def test_the_steps_of_sasl_are_one_call(recording: Recording, ldap_server: Server) -> None:
    client = ldap3.Connection(
        make_server(ldap_server, **QUIET), authentication=ldap3.SASL, sasl_mechanism=ldap3.DIGEST_MD5,
        sasl_credentials=(None, "user1", "secret1", None),
    )  # fmt: skip
    assert client.bind()
    client.unbind()
    (bind,) = recording.of("bind")
    assert (bind.session.account, bind.session.auth_method, bind.error) == ("user1", "digest-md5", None)
    assert "secret1" not in repr(recording.calls)


def test_a_missing_password_is_recorded_though_nothing_was_sent(recording: Recording, ldap_server: Server) -> None:
    client = ldap3.Connection(make_server(ldap_server, **QUIET), ldap_server.user, "")
    with pytest.raises(LDAPException):
        client.bind()
    (bind,) = recording.of("bind")
    assert type(bind.error).__name__ == "LDAPPasswordIsMandatoryError"


# --- operations ---


def test_changes_are_recorded_by_the_attributes_that_they_touch(recording: Recording, client: ldap3.Connection) -> None:
    client.add(NEW, "inetOrgPerson", {"cn": "hunter2", "sn": "hunter2"})
    client.modify(NEW, {"mail": [(ldap3.MODIFY_ADD, ["hunter2@x"])], "cn": [(ldap3.MODIFY_REPLACE, ["hunter2"])]})
    client.compare(NEW, "mail", "hunter2@x")
    client.modify_dn(NEW, "uid=hunter2", new_superior=PEOPLE)
    client.delete(f"uid=hunter2,{PEOPLE}")
    client.delete(f"uid=hunter2,{PEOPLE}")
    entry = f"uid=?,{SHAPE}"
    assert get_recorded(recording) == [
        ("add", f"add {entry} cn,objectClass,sn", -1, 1),
        ("modify", f"modify {entry} add:mail,replace:cn", -1, 1),
        ("compare", f"compare {entry} (mail=?)", -1, -1),
        ("modify_dn", f"modify_dn {entry} uid=? {SHAPE}", -1, 1),
        ("delete", f"delete {entry}", -1, 1),
        ("delete", f"delete {entry}", -1, -1),
    ]  # fmt: skip
    assert [one.facts.get(names.STATUS_CODE) for one in recording.calls] == [None, None, "6", None, None, "32"]
    assert [one.error for one in recording.calls] == [None] * 5 + ["noSuchObject"]
    assert "hunter2" not in repr([(one.statement, one.facts, one.session) for one in recording.calls])


def test_each_page_is_a_call(recording: Recording, client: ldap3.Connection) -> None:
    pages = client.extend.standard.paged_search(PEOPLE, "(uid=*)", attributes=["uid"], paged_size=2, generator=False)
    assert len(pages) == COUNT
    assert [one.rows_returned for one in recording.calls] == [2, 2, 1]
    assert len({one.statement for one in recording.calls}) == 1


def test_a_truncated_search_is_recorded_with_its_rows(recording: Recording, client: ldap3.Connection) -> None:
    client.search(PEOPLE, "(uid=*)", ldap3.LEVEL, size_limit=3)
    (search,) = recording.calls
    assert (search.rows_returned, search.error, search.facts[names.STATUS_CODE]) == (3, "sizeLimitExceeded", "4")
    assert search.statement == f"search {SHAPE} level (uid=*) 1.1"


def test_extended_operations_are_recorded_by_their_number(recording: Recording, client: ldap3.Connection) -> None:
    client.extend.standard.modify_password(f"uid=user3,{PEOPLE}", "secret3", "secret3")
    client.extend.standard.who_am_i()
    assert [one.statement for one in recording.calls] == [
        "extended 1.3.6.1.4.1.4203.1.11.1", "extended 1.3.6.1.4.1.4203.1.11.3",
    ]  # fmt: skip
    assert "secret3" not in repr(recording.calls)


def login_filter(name: str) -> str:
    return f"(&(objectClass=inetOrgPerson)(uid={name}))"


def shape_of(recording: Recording, client: ldap3.Connection, name: str) -> str:
    with contextlib.suppress(LDAPException):
        client.search(PEOPLE, login_filter(name))
    return recording.calls[-1].statement


@pytest.mark.parametrize(
    "name", ["*", "user*", "*)(uid=*))(|(uid=*", "x)(|(mail=*", "user1)(mail=*", "x)(!(uid=y)", "*)(objectClass=*"]
)
def test_an_injection_into_a_filter_changes_its_shape(
    recording: Recording, client: ldap3.Connection, name: str
) -> None:
    usual = shape_of(recording, client, "user1")
    assert usual == shape_of(recording, client, "someone-else") == shape_of(recording, client, r"a\28b\29\2a")
    assert shape_of(recording, client, name) != usual


def test_a_value_that_was_escaped_stays_out_of_the_shape(recording: Recording, client: ldap3.Connection) -> None:
    client.search(PEOPLE, r"(|(cn=\28secretname=x\29)(cn=*\2ahunter2*a*)(!(sn>=hunter2))(cn:dn:2.5.13.5:=hunter2))")
    (search,) = recording.calls
    assert search.statement == f"search {SHAPE} subtree (|(cn=?)(cn=*?*)(!(sn>=?))(cn:dn:2.5.13.5:=?)) 1.1"


def test_an_invalid_filter_is_recorded_though_it_was_not_sent(recording: Recording, client: ldap3.Connection) -> None:
    with pytest.raises(LDAPInvalidFilterError):
        client.search(PEOPLE, "(&(uid=hunter2)(cn=x", ldap3.BASE, attributes="mail")
    (search,) = recording.calls
    assert (search.statement, search.sent) == (f"search {SHAPE} base (&(uid=?)(cn=? mail", 0)
    assert isinstance(search.error, LDAPInvalidFilterError)


def test_a_long_list_is_one_shape(recording: Recording, client: ldap3.Connection) -> None:
    for count in (2, 3, 500):
        client.search(PEOPLE, f"(|{''.join(f'(uid=user{number})' for number in range(count))})")
    assert {one.statement for one in recording.calls} == {f"search {SHAPE} subtree (|(uid=?)…) 1.1"}


@pytest.mark.parametrize(
    "text", ["(" * 65_536, "(a=b)" * 13_000, "(&" * 32_000, "a=*" * 20_000, "\\" * 65_536, '"' * 65_536, ":dn" * 20_000]
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    best = min(_took(text) for _ in range(5))
    assert best < 0.03


def _took(text: str) -> float:
    began = time.thread_time()
    redact.to_filter_shape(text)
    redact.redact_dn(text)
    return time.thread_time() - began


# --- referrals ---


def test_a_referral_is_recorded_and_the_call_that_follows_it(recording: Recording, ldap_server: Server) -> None:
    client = ldap3.Connection(plain(ldap_server, **QUIET), auto_bind=True)
    recording.calls.clear()
    assert client.search(ELSEWHERE, "(uid=user1)")
    client.unbind()
    assert [one.operation for one in recording.calls] == ["search", "connect", "bind", "search", "unbind", "unbind"]
    first, *_, second, _, _ = recording.calls
    assert first.facts == {
        names.STATUS_CODE: "10", names.REDIRECT_TARGET: f"{ldap_server.host}:{ldap_server.port}",
    }  # fmt: skip
    assert (first.error, first.rows_returned, second.rows_returned, second.facts) == (None, 0, 1, {})


def test_a_referral_that_is_not_followed_is_recorded(recording: Recording, ldap_server: Server) -> None:
    client = ldap3.Connection(plain(ldap_server, **QUIET), auto_bind=True, auto_referrals=False)
    client.search(ELSEWHERE, "(uid=user1)")
    client.unbind()
    (search,) = recording.of("search")
    assert search.facts[names.REDIRECT_TARGET] == f"{ldap_server.host}:{ldap_server.port}"


def test_a_connection_that_is_closed_is_recorded_to_be(recording: Recording, client: ldap3.Connection) -> None:
    client.unbind()
    recording.calls.clear()
    with pytest.raises(LDAPSocketOpenError):
        client.search(PEOPLE, "(uid=hunter2)")
    (search,) = recording.calls
    assert (search.statement, search.sent) == (f"search {SHAPE} subtree (uid=?) 1.1", -1)


@pytest.mark.skipif(not hasattr(ldap3, "SAFE_SYNC"), reason="this version has no such strategy")
def test_shared_strategy_returns_unchanged_results(recording: Recording, ldap_server: Server) -> None:
    client = bind(ldap_server, client_strategy=ldap3.SAFE_SYNC)
    status, result, response, _ = client.search(PEOPLE, "(uid=user1)")
    assert (status, result["description"], len(response)) == (True, "success", 1)
    client.unbind()
    assert [one.rows_returned for one in recording.of("search")] == [1]


# --- versions ---


@not_overlaid
def test_the_oldest_version_is_watched_as_well(ldap_server: Server) -> None:
    run_tests_with(["ldap3==2.8"], "ldap3", ldap_server)
