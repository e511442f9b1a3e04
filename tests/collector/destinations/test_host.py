"""Hosts in every spelling that a client may accept, and where they lead."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.destinations import host
from backwatch.collector.destinations.host import CLASS_NAMES, classify_host, parse_address, split_target
from backwatch.collector.destinations.metadata import METADATA_ADDRESSES, METADATA_NAMES

CLASSES: dict[str, list[str]] = {
    "public": [
        "api.example.com", "9.9.9.9", "0x9.9.9.9", "2001:db8::1", "169.253.1.1", "172.32.0.1", "11.0.0.1", "010.0.0.1",
        "1.example.com", "cafe.example.", "metadata.example.com", "10.example.com", "internal.example.com",
        "::ffff:9.9.9.9", "2002:909:909::1", "8-8-8-8.nip.io", "www.sslip.io", "local.example", "bücher.example",
    ],
    "internal": [
        "10.0.0.1", "10.1", "0xa.1", "167772161", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1",
        "fd12::1", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "2001:0:0:0:0:0:f5ff:fffe",
        "64:ff9b:1::192.168.0.1", "::10.0.0.1", "2001:db8::5efe:a00:1", "app.10.0.0.1.nip.io", "app-10-0-0-1.sslip.io",
        "239.255.255.250", "ff02::1",
    ],
    "cluster-local": [
        "redis", "redis.default.svc", "api.shop.svc.cluster.local", "db.internal", "DB.Internal.", "printer.local",
        "db.corp", "router.home.arpa", "vault.service.consul", "host.docker.internal", "kubernetes.default",
        "db%2einternal", "db\u3002internal",
    ],
    "link-local": ["169.254.1.1", "0xa9.254.1.1", "fe80::1", "[fe80::1%25eth0]", "fe80::1%eth0", "febf::1"],
    "loopback": [
        "localhost", "LOCALHOST.", "a.localhost", "localhost.localdomain", "127.0.0.1", "127.1", "0177.1", "0x7f000001",
        "2130706433", "017700000001", "127.0.0.1.", "0", "0.0.0.0", "::", "::1", "[::1]", "0:0:0:0:0:0:0:1",
        "::ffff:127.0.0.1", "::ffff:7f00:1", "64:ff9b::7f00:1", "%31%32%37.0.0.1", "%2531%2532%2537.0.0.1",
        "\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
        "127\u30020\u30020\u30021", "127.0.0.1\t", "12\u200b7.0.0.1", "localtest.me", "a.lvh.me",
        "127.0.0.1.nip.io",
    ],
    "metadata": [
        *METADATA_ADDRESSES, *METADATA_NAMES, "0xa9.254.0251.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376",
        "169.254.43518", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
        "169.254.169.254.", "Metadata.Google.Internal.", "169-254-169-254.nip.io", "FD00:EC2::254", "fd00:ec2:0::254",
        "0144.0144.0144.0310", "\uff11\uff16\uff19.\uff12\uff15\uff14.\uff11\uff16\uff19.\uff12\uff15\uff14",
    ],
    "unknown": ["", "?", "/run/db.sock", "@abstract", "[", "::g", "...", "a b/c", "-", "\u0000"],
}  # fmt: skip
CASES = [(text, kind) for kind, texts in CLASSES.items() for text in texts]


def test_class_of_each_spelling_is_as_expected() -> None:
    found = [(text, kind, CLASS_NAMES[classify_host(text)]) for text, kind in CASES]
    assert [one for one in found if one[1] != one[2]] == []


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("https://api.example.com/a", ("https", "api.example.com", -1)),
        ("http://good.example:80@127.0.0.1:6379/", ("http", "127.0.0.1", 6379)),
        ("http://a:b@[::1]:8080/", ("http", "::1", 8080)),
        ("http:\\\\169.254.169.254\\latest", ("http", "169.254.169.254", -1)),
        ("///evil.example/x", ("", "evil.example", -1)),
        ("//evil.example", ("", "evil.example", -1)),
        ("http://evil.example\\@good.example/", ("http", "evil.example", -1)),
        ("localhost:6379", ("", "localhost", 6379)),
        ("::1", ("", "::1", -1)),
        ("[fe80::1%25eth0]:80", ("", "fe80::1%25eth0", 80)),
        ("file:///etc/passwd", ("file", "etc", -1)),
        ("mailto:ann@example.com", ("mailto", "example.com", -1)),
        ("https://a#@b/", ("https", "a", -1)),
        ("", ("", "", -1)),
    ],
)
def test_authority_is_found_in_each_form(target: str, expected: tuple[str, str, int]) -> None:
    assert expected == tuple(split_target(target))


@given(st.ip_addresses(v=4), st.sampled_from(["d", "x", "o"]), st.integers(1, 4))
def test_any_form_of_an_ipv4_address_is_that_address(address: ipaddress.IPv4Address, base: str, parts: int) -> None:
    packed = address.packed
    numbers = [*packed[: parts - 1], int.from_bytes(packed[parts - 1 :], "big")]
    write = {"d": str, "x": hex, "o": lambda number: f"0{number:o}"}[base]
    assert packed == parse_address(".".join(write(number) for number in numbers))


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:{}", "64:ff9b::{}", "::ffff:0:{}", "[::ffff:{}]"]))
def test_address_inside_another_has_its_class(address: ipaddress.IPv4Address, form: str) -> None:
    assert classify_host(str(address)) == classify_host(form.format(address))


@given(st.ip_addresses(v=6))
def test_ipv6_address_is_what_the_library_parses(address: ipaddress.IPv6Address) -> None:
    assert address.packed == parse_address(address.exploded, unwrap=False) == parse_address(str(address), unwrap=False)


@given(st.text(max_size=400))
def test_no_text_breaks_the_parser(text: str) -> None:
    assert 0 <= classify_host(text) < len(CLASS_NAMES)
    assert -1 <= split_target(text).port <= 99_999
    assert len(parse_address(text)) in (0, 4, 16)


@given(st.text(max_size=60), st.sampled_from(["%{}", "{}.", "[{}]", " {}"]))
def test_class_survives_a_final_dot_brackets_and_blanks(text: str, form: str) -> None:
    plain = host.normalize_host(text)
    if form != "%{}" and plain and ":" not in text and not text.startswith(("/", "@", "[")):
        assert host.classify_host(plain) == host.classify_host(form.format(plain))
