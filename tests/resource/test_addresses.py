"""Where names may lead."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.destinations import metadata
from backwatch.resource.addresses import METADATA_NAMES, Place, classify, find_fault, is_allowed_host, is_private_name


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("169.254.169.254", "metadata"), ("::ffff:169.254.169.254", "metadata"), ("64:ff9b::a9fe:a9fe", "metadata"),
        ("2002:a9fe:a9fe::1", "metadata"), ("fd00:ec2::254", "metadata"), ("100.100.100.200", "metadata"),
        ("169.254.1.1", "link-local"), ("fe80::1", "link-local"), ("127.8.9.1", "loopback"), ("::1", "loopback"),
        ("0.0.0.0", "unspecified"), ("10.1.2.3", "private"), ("fc00::1", "private"), ("100.64.0.1", "private"),
        ("224.0.0.1", "multicast"), ("93.184.215.14", "public"), ("2606:4700::1", "public"),
    ],
)  # fmt: skip
def test_address_has_its_kind(text: str, kind: str) -> None:
    assert classify(ipaddress.ip_address(text)) == kind


@given(st.ip_addresses())
def test_every_address_has_a_kind(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert classify(address)


@pytest.mark.parametrize(
    ("host", "address", "allowed", "fault"),
    [
        ("api.example.com", "169.254.169.254", "any", "metadata"),
        ("api.example.com", "127.0.0.1", "auto", "own machine"),
        ("api.example.com", "127.0.0.1", "any", ""), ("api.example.com", "10.0.0.1", "auto", ""),
        ("api.example.com", "10.0.0.1", "public", "private address"), ("db", "10.0.0.1", "private", ""),
        ("db", "93.184.215.14", "private", "public address"), ("db", "127.0.0.1", "auto", ""),
    ],
)  # fmt: skip
def test_address_is_held_against_what_is_allowed(host: str, address: str, allowed: str, fault: str) -> None:
    found = find_fault([Place(host, ipaddress.ip_address(address), 1)], allowed, own_machine=False)
    assert fault in found
    assert bool(fault) == bool(found)


@pytest.mark.parametrize("host", ["db.example.evil.com", "evil-db.example", "db.example@evil", "dbxexample"])
def test_similar_host_is_not_allowed(host: str) -> None:
    assert not is_allowed_host(host, ["db.example", "*.db.example"])


def test_each_metadata_service_that_the_collector_knows_is_refused() -> None:
    assert {classify(ipaddress.ip_address(text)) for text in metadata.METADATA_ADDRESSES} == {"metadata"}
    assert metadata.METADATA_NAMES <= METADATA_NAMES


def test_private_names() -> None:
    assert all(is_private_name(name) for name in ("redis", "a.svc.cluster.local", "10.0.0.1"))
    assert not any(is_private_name(name) for name in ("8.8.8.8", "example.com"))


def test_name_of_the_own_machine_leads_nowhere_else() -> None:
    place = Place("db.localhost", ipaddress.ip_address("192.0.2.1"), 5432)
    assert "off the app's own machine" in find_fault([place], "auto", own_machine=True)


@pytest.mark.parametrize(
    ("host", "pattern", "port", "is_allowed"),
    [
        ("db.example", "db.example:5432", 5432, True), ("db.example", "db.example:5432", 5433, False),
        ("db.example", "db.example", 5433, True), ("DB.example.", "*.example.:5432", 5432, True),
        ("2001:db8::1", "[2001:db8::1]:5432", 5432, True), ("2001:db8::1", "[2001:db8::1]:5432", 80, False),
        ("2001:db8::1", "2001:db8::1", 80, True), ("db.example", "db.example:*", 80, True),
    ],
)  # fmt: skip
def test_pattern_with_port_allows_that_port(host: str, pattern: str, port: int, is_allowed: bool) -> None:
    assert is_allowed_host(host, [pattern], port) is is_allowed
