"""Redis and Valkey, attached through each of their client libraries, on real and on hostile servers."""

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.attack.protocols.redis import RedisServer, Talk, bulk
from backwatch.attack.protocols.server import HostileServer, ServerSession
from backwatch.attack.scenarios.redis.java_object import SwappedBasket
from backwatch.attack.scenarios.redis.pickle import PickleCache
from backwatch.attack.scenarios.redis.sentinel_rogue import RogueSentinel
from backwatch.attack.scenarios.redis.tarpit import Tarpit
from backwatch.attack.scenarios.redis.value_flood import LongValues
from backwatch.attack.techniques.redis_moved import MovingRedis
from backwatch.resource import Resource, ResourceUnsafe
from backwatch.resource.systems.redis.connection import read_redirect
from tests.resource.attaching import Serve, attach_server, attach_url
from tests.services.server import Server

Ask = Callable[..., Any]


def ask(resource: Resource, *command: Any, times: int = 1) -> Any:
    client = resource.client()
    try:
        return [client.execute_command(*command) for _ in range(times)][-1]
    finally:
        client.close()


def ask_async(resource: Resource, *command: Any, times: int = 1) -> Any:
    async def run() -> Any:
        client = await resource.aclient()
        try:
            return [await client.execute_command(*command) for _ in range(times)][-1]
        finally:
            await client.aclose()

    return asyncio.run(run())


DRIVERS: dict[str, tuple[str, Ask]] = {
    "redis": ("redis", ask), "redis-async": ("redis", ask_async), "valkey": ("valkey", ask),
    "valkey-async": ("valkey", ask_async),
}  # fmt: skip
every_driver = pytest.mark.parametrize(("driver", "ask"), DRIVERS.values(), ids=DRIVERS)


def scheme_url(url: str, driver: str) -> str:
    return url.replace("redis://", f"{driver}://")


@every_driver
@pytest.mark.services("redis_server")
def test_session_is_encrypted_and_logged_in(redis_server: Server, driver: str, ask: Ask) -> None:
    resource = attach_url(
        f"{driver}://{redis_server.user}:{redis_server.password}@localhost:{redis_server.tls_port}",
        ca=redis_server.ca_file, driver=driver,
    )  # fmt: skip
    assert ask(resource, "ACL", "WHOAMI") in (b"app", "app")


@every_driver
@pytest.mark.services("redis_server")
def test_foreign_authority_is_refused(redis_server: Server, driver: str, ask: Ask) -> None:
    with pytest.raises(ResourceUnsafe, match="not verified") as caught:
        ask(attach_url(f"{driver}://localhost:{redis_server.tls_port}", driver=driver), "PING")
    assert caught.value.check == "tls"


@every_driver
@pytest.mark.services("redis_server")
def test_server_in_plaintext_is_refused_before_the_login(redis_server: Server, driver: str, ask: Ask) -> None:
    url = scheme_url(redis_server.url, driver)
    with pytest.raises(ResourceUnsafe) as caught:
        ask(attach_url(url, driver=driver, connect_timeout_s=1), "PING")
    assert caught.value.check == "tls"


@every_driver
@pytest.mark.services("redis_server")
def test_observing_changes_nothing_and_finds_plaintext(redis_server: Server, driver: str, ask: Ask) -> None:
    resource = attach_url(scheme_url(redis_server.url, driver), driver=driver, mode="observe")
    assert ask(resource, "PING") in (b"PONG", True)
    assert {finding.check for finding in resource.findings} == {"tls"}


@every_driver
@pytest.mark.services("redis_server")
def test_loopback_needs_no_tls(redis_server: Server, driver: str, ask: Ask) -> None:
    url = scheme_url(redis_server.url, driver)
    assert ask(attach_url(url, driver=driver, tls_on_loopback="optional"), "PING") in (b"PONG", True)


@pytest.mark.parametrize("query", ["ssl_cert_reqs=none", "ssl_check_hostname=false"])
def test_weak_parameter_of_the_url_is_refused(query: str) -> None:
    with pytest.raises(ResourceUnsafe, match=query):
        attach_url(f"rediss://:secret@localhost/?{query}").client()


@pytest.mark.parametrize("option", ["ssl", "connection_class", "connection_pool"])
def test_option_around_the_policy_is_refused(option: str) -> None:
    with pytest.raises(ResourceUnsafe, match=option):
        attach_url("rediss://localhost").client(**{option: False})


def test_password_does_not_go_out_in_plaintext() -> None:
    with pytest.raises(ResourceUnsafe, match="in plaintext") as caught:
        attach_url("redis://:secret@cache.example", tls="off").client()
    assert caught.value.check == "auth"


def attach_hostile(served: tuple[HostileServer, str], driver: str, path: str = "", **settings: Any) -> Resource:
    service, ca_file = served
    variant, _, path = path.rpartition(":")
    scheme = f"{driver}+{variant}" if variant else driver
    return attach_url(
        f"{scheme}://:only-on-loopback@localhost:{service.port}/{path}", driver=driver, ca=ca_file, **settings
    )


@every_driver
def test_moved_to_a_foreign_host_is_refused(serve: Serve, driver: str, ask: Ask) -> None:
    served = serve(MovingRedis)
    resource = attach_hostile(served, driver)
    assert ask(resource, "SET", "basket", "apples") in (b"OK", True)
    served[0].turn()
    with pytest.raises(ResourceUnsafe, match=r"redirects to 127\.0\.0\.1") as caught:
        ask(resource, "GET", "basket")
    assert caught.value.check == "hosts"


@every_driver
def test_cluster_does_not_follow_to_a_foreign_host(serve: Serve, driver: str, ask: Ask) -> None:
    served = serve(MovingRedis)
    served[0].record()
    resource = attach_hostile(served, driver, "cluster:")
    assert ask(resource, "SET", "basket", "apples") in (b"OK", True)
    served[0].turn()
    with pytest.raises(ResourceUnsafe) as caught:
        ask(resource, "GET", "basket")
    assert caught.value.check == "hosts"
    assert served[0].collect_leaks() == []


class _RogueNode(MovingRedis):
    def cluster(self, what: bytes) -> bytes:
        return super().cluster(what).replace(b":%d\r\n" % self.port, b":%d\r\n" % self.elsewhere.port)


@every_driver
def test_cluster_does_not_connect_to_a_foreign_node(serve: Serve, driver: str, ask: Ask) -> None:
    with pytest.raises(ResourceUnsafe) as caught:
        ask(attach_hostile(serve(_RogueNode), driver, "cluster:"), "GET", "basket")
    assert caught.value.check == "hosts"


@every_driver
def test_master_of_a_rogue_sentinel_is_refused(serve: Serve, driver: str, ask: Ask) -> None:
    served = serve(RogueSentinel)
    served[0].record()
    resource = attach_hostile(served, driver, "sentinel:shop")
    assert ask(resource, "SET", "basket", "apples") in (b"OK", True)
    served[0].turn()
    with pytest.raises(ResourceUnsafe) as caught:
        ask(resource, "GET", "basket")
    assert caught.value.check == "hosts"
    assert served[0].collect_leaks() == []


@every_driver
def test_flood_is_refused_before_it_is_read(serve: Serve, driver: str, ask: Ask) -> None:
    served = serve(LongValues)
    resource = attach_hostile(served, driver, max_reply_bytes=1 << 20)
    assert ask(resource, "GET", "basket", times=3) == b"two apples"
    served[0].turn()
    with pytest.raises(ResourceUnsafe) as caught:
        ask(resource, "GET", "basket")
    assert caught.value.check == "max_reply_bytes"


@every_driver
def test_many_small_replies_are_no_flood(serve: Serve, driver: str, ask: Ask) -> None:
    assert ask(attach_hostile(serve(LongValues), driver, max_reply_bytes=4096), "GET", "basket", times=400)


@every_driver
@pytest.mark.parametrize("kind", [SwappedBasket, PickleCache])
def test_value_that_runs_code_is_refused(serve: Serve, driver: str, ask: Ask, kind: type[HostileServer]) -> None:
    served = serve(kind)
    resource = attach_hostile(served, driver)
    ask(resource, "GET", "session:7")
    served[0].turn()
    with pytest.raises(ResourceUnsafe, match="runs code") as caught:
        ask(resource, "GET", "session:7")
    assert caught.value.check == "formats"


def test_pickle_that_the_policy_lists_is_returned(serve: Serve) -> None:
    served = serve(PickleCache)
    served[0].turn()
    assert ask(attach_hostile(served, "redis", formats=["pickle"]), "GET", "session:7")[:1] == b"\x80"


@every_driver
def test_wait_for_a_tarpit_is_bounded(serve: Serve, driver: str, ask: Ask) -> None:
    served = serve(Tarpit)
    served[0].turn()
    resource = attach_hostile(served, driver, read_timeout_s=0.2)
    with pytest.raises(ResourceUnsafe, match=r"no reply within 0\.2 s") as caught:
        ask(resource, "GET", "basket")
    assert caught.value.check == "read_timeout_s"
    assert isinstance(caught.value, pytest.importorskip(driver).TimeoutError)
    assert type(pickle.loads(pickle.dumps(caught.value))) is ResourceUnsafe


class _Open(RedisServer):
    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        return bulk(pickle.dumps([1, "two"])) if verb == b"GET" else super().answer(verb, command, talk)


def test_pickle_of_plain_data_is_returned(serve: Serve) -> None:
    assert pickle.loads(ask(attach_hostile(serve(_Open), "redis"), "GET", "list")) == [1, "two"]


@pytest.mark.services("redis_cluster")
def test_real_cluster_serves_each_slot(redis_cluster: Server) -> None:
    url = redis_cluster.url.replace("redis://", "redis+cluster://")
    client = attach_url(url, tls_on_loopback="optional", hosts=["127.0.0.1"]).client()
    for number in range(20):
        client.set(f"attached:{number}", number, ex=60)
    assert [int(client.get(f"attached:{number}")) for number in range(20)] == list(range(20))
    client.close()


@pytest.mark.services("redis_sentinel")
def test_real_sentinel_names_its_master(redis_sentinel: Server) -> None:
    url = redis_sentinel.url.replace("redis://", "redis+sentinel://") + "/main"
    client = attach_url(url, tls_on_loopback="optional", hosts=["127.0.0.1"]).client()
    client.set("attached", "yes", ex=60)
    assert client.get("attached") == b"yes"
    client.close()


@pytest.mark.services("valkey_server")
def test_real_valkey_answers(valkey_server: Server) -> None:
    assert ask(attach_url(valkey_server.url, tls_on_loopback="optional"), "PING") is True


@pytest.mark.services("redis_server")
def test_pool_opens_checked_connections(redis_server: Server) -> None:
    import redis

    resource = attach_server(redis_server)
    with redis.Redis(connection_pool=resource.pool()) as client:
        assert client.ping()
    with (
        pytest.raises(ResourceUnsafe),
        redis.Redis(connection_pool=attach_server(redis_server, ca="system").pool()) as client,
    ):
        client.ping()


@every_driver
@pytest.mark.services("redis_server")
def test_server_below_the_lowest_version_is_refused(redis_server: Server, driver: str, ask: Ask) -> None:
    url, settings = scheme_url(redis_server.url, driver), {"driver": driver, "tls_on_loopback": "optional"}
    assert ask(attach_url(url, **settings, min_version="5"), "PING") in (b"PONG", True)
    with pytest.raises(ResourceUnsafe) as caught:
        ask(attach_url(url, **settings, min_version="99"), "PING")
    assert caught.value.check == "min_version"


@given(st.text(max_size=60))
def test_only_redirects_are_read_as_redirects(text: str) -> None:
    assert read_redirect(Exception(text)) is None or text.split(" ", maxsplit=1)[0] in ("MOVED", "ASK")


@pytest.mark.parametrize(
    ("text", "place"),
    [("MOVED 7 10.0.0.9:6379", ("10.0.0.9", 6379)), ("ASK 7 [::1]:1", ("[::1]", 1)), ("MOVED 7 :6379", None)],
)
def test_redirect_leads_to_host_and_port(text: str, place: tuple[str, int] | None) -> None:
    assert read_redirect(Exception(text)) == place


class _Guarded(RedisServer):
    """Wants a login before anything else, unless it is hostile."""

    def obey(self, session: ServerSession) -> None:
        if not self.hostile:
            while self.read_command(session)[0].upper() not in (b"AUTH", b"HELLO"):
                session.send(b"-NOAUTH Authentication required.\r\n")
            session.send(self.hello(resp3=True))
        super().obey(session)


@every_driver
def test_server_that_wants_no_login_is_refused_if_logins_must_be_strong(serve: Serve, driver: str, ask: Ask) -> None:
    served = serve(_Guarded)
    resource = attach_hostile(served, driver, "?protocol=3", auth="strong")
    assert ask(resource, "SET", "basket", "apples") in (b"OK", True)
    served[0].turn()
    served[0].record()
    with pytest.raises(ResourceUnsafe, match="without a login") as caught:
        ask(resource, "GET", "basket")
    assert caught.value.check == "auth"
    assert b"only-on-loopback" not in b"".join(served[0].kept)
