"""memcached, attached through pymemcache, on real and on hostile servers."""

import pickle
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymemcache.serde import CompressedSerde, PickleSerde, python_memcache_deserializer

from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios.memcached import pickle as pickled
from backwatch.attack.scenarios.memcached.other_key import OtherKeyMemcached
from backwatch.attack.scenarios.memcached.value_flood import MemcachedValueFlood
from backwatch.resource import Resource, ResourceUnsafe
from tests.resource.attaching import Serve, attach_server, attach_url
from tests.services.server import Server

PICKLES: type[HostileServer] = pickled.MemcachedPickle.server
FLOODS: type[HostileServer] = MemcachedValueFlood.server


def attach_hostile(served: tuple[HostileServer, str], **settings: Any) -> Resource:
    service, ca_file = served
    return attach_url(f"memcached://localhost:{service.port}", ca=ca_file, **settings)


@pytest.mark.parametrize("kind", ["client", "pool"])
@pytest.mark.services("memcached")
def test_value_is_kept_over_verified_tls(memcached: Server, kind: str) -> None:
    client = getattr(attach_server(memcached), kind)()
    client.set("attached:7", "two apples", expire=60, noreply=False)
    assert client.get("attached:7") == b"two apples"
    assert client.get("attached:none") is None
    client.close()


@pytest.mark.services("memcached")
def test_several_servers_share_the_keys(memcached: Server) -> None:
    host = f"localhost:{memcached.tls_port}"
    client = attach_url(f"memcacheds://{host},127.0.0.1:{memcached.tls_port}", ca=memcached.ca_file).client()
    client.set_many({f"attached:{number}": str(number) for number in range(9)}, expire=60, noreply=False)
    assert len(client.get_many([f"attached:{number}" for number in range(9)])) == 9
    client.close()


@pytest.mark.parametrize("kind", ["client", "pool"])
@pytest.mark.services("memcached")
def test_foreign_authority_is_refused(memcached: Server, kind: str) -> None:
    with pytest.raises(ResourceUnsafe, match="not verified") as caught:
        getattr(attach_server(memcached, ca="system"), kind)().get("attached:7")
    assert caught.value.check == "tls"


@pytest.mark.services("memcached")
def test_server_in_plaintext_is_refused(memcached: Server) -> None:
    with pytest.raises(ResourceUnsafe) as caught:
        attach_url(memcached.url, connect_timeout_s=0.5).client().get("attached:7")
    assert caught.value.check == "tls"


@pytest.mark.services("memcached")
def test_observing_changes_nothing_and_finds_plaintext(memcached: Server) -> None:
    resource = attach_url(memcached.url, mode="observe")
    client = resource.client()
    assert client.set("attached:7", "two apples", expire=60, noreply=False)
    assert {finding.check for finding in resource.findings} == {"tls"}
    client.close()


@pytest.mark.parametrize("kind", ["client", "pool"])
def test_pickle_by_the_flags_of_the_server_is_not_opened(serve: Serve, kind: str) -> None:
    served = serve(PICKLES)
    served[0].turn()
    with pytest.raises(ResourceUnsafe, match="pickle") as caught:
        getattr(attach_hostile(served), kind)(serde=PickleSerde()).get("basket:7")
    assert caught.value.check == "formats"


@pytest.mark.parametrize("kind", ["client", "pool"])
def test_answer_with_another_key_is_refused(serve: Serve, kind: str) -> None:
    served = serve(OtherKeyMemcached)
    client = getattr(attach_hostile(served), kind)()
    client.set("basket:7", "two apples", noreply=False)
    assert client.get("basket:7") == b"two apples"
    served[0].hostile = True
    with pytest.raises(ResourceUnsafe) as caught:
        client.get("basket:7")
    assert caught.value.check == "match_replies"


def test_client_that_ignores_errors_does_not_ignore_refusals(serve: Serve) -> None:
    served = serve(OtherKeyMemcached)
    client = attach_hostile(served).client(ignore_exc=True)
    served[0].turn()
    with pytest.raises(ResourceUnsafe):
        client.get("basket:7")
    served[0].stop()
    assert client.get("basket:7") is None


@pytest.mark.parametrize("kind", ["client", "pool"])
def test_flood_is_refused_when_it_is_announced(serve: Serve, kind: str) -> None:
    served = serve(FLOODS)
    served[0].turn()
    with pytest.raises(ResourceUnsafe) as caught:
        getattr(attach_hostile(served, max_reply_bytes=1 << 20), kind)().get("basket:7")
    assert caught.value.check == "max_reply_bytes"


class _Bomb(Memcached):
    def value(self, key: bytes, stored: tuple[bytes, bytes] | None) -> tuple[bytes, bytes] | None:
        return b"8", zlib.compress(bytes(8 << 20))


def test_value_that_unpacks_without_end_is_refused(serve: Serve) -> None:
    with pytest.raises(ResourceUnsafe) as caught:
        attach_hostile(serve(_Bomb), max_reply_bytes=1 << 20).client(serde=CompressedSerde()).get("basket:7")
    assert caught.value.check == "max_reply_bytes"


@pytest.mark.parametrize(
    "options", [{"serde": PickleSerde()}, {"deserializer": python_memcache_deserializer}], ids=["serde", "function"]
)
def test_every_form_of_the_serde_is_checked(serve: Serve, options: dict[str, Any]) -> None:
    served = serve(PICKLES)
    served[0].turn()
    with pytest.raises(ResourceUnsafe):
        attach_hostile(served).client(**options).get("basket:7")


def test_own_serde_and_allowed_pickles_work(serve: Serve) -> None:
    client = attach_hostile(serve(Memcached), formats=["json", "pickle"]).client(serde=PickleSerde())
    client.set("basket:7", {"two": "apples"}, noreply=False)
    assert client.get("basket:7") == {"two": "apples"}
    with pytest.raises(ResourceUnsafe, match="would be stored as a pickle"):
        attach_hostile(serve(Memcached)).client(serde=PickleSerde()).set("basket:7", {"two": "apples"})


@given(flags=st.integers(0, 65535), value=st.binary(max_size=200))
def test_no_flags_make_a_checked_serde_run_code(flags: int, value: bytes) -> None:
    from backwatch.resource.systems.memcached.serde import CheckedSerde

    attachment = attach_url("memcached://localhost")._attachment
    serde = CheckedSerde(attachment, CompressedSerde(serde=PickleSerde()))
    for stored in (value, pickle.dumps(print), zlib.compress(pickle.dumps(print))):
        try:
            found = serde.deserialize("key", stored, flags)
        except (ResourceUnsafe, ValueError, zlib.error):
            continue
        assert found is not print


@pytest.mark.parametrize("kind", ["client", "pool"])
@pytest.mark.services("memcached")
def test_server_below_the_lowest_version_is_refused(memcached: Server, kind: str) -> None:
    assert getattr(attach_server(memcached, min_version="1.4"), kind)().get("attached:none") is None
    with pytest.raises(ResourceUnsafe) as caught:
        getattr(attach_server(memcached, min_version="99"), kind)().get("attached:none")
    assert caught.value.check == "min_version"
