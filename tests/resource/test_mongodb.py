"""MongoDB, attached through PyMongo, on real and on hostile servers."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from backwatch.attack.protocols.mongodb import SET, MongoDB
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mongodb import ExtendedSet
from backwatch.resource import Resource, ResourceUnsafe
from backwatch.resource.systems.mongodb.pymongo import _allow_domain
from tests.resource.attaching import Serve, attach_server, attach_url
from tests.services.server import Server

Ask = Callable[..., Any]


def ask(resource: Resource, **options: Any) -> Any:
    with resource.client(**options) as client:
        baskets = client["shop"]["baskets"]
        baskets.update_one({"_id": 7}, {"$set": {"basket": "two apples"}}, upsert=True)
        return baskets.find_one({"_id": 7})["basket"]


def ask_async(resource: Resource, **options: Any) -> Any:
    async def run() -> Any:
        async with await resource.aclient(**options) as client:
            baskets = client["shop"]["baskets"]
            await baskets.update_one({"_id": 7}, {"$set": {"basket": "two apples"}}, upsert=True)
            return (await baskets.find_one({"_id": 7}))["basket"]

    return asyncio.run(run())


both = pytest.mark.parametrize("ask", [ask, ask_async], ids=["sync", "async"])


@both
@pytest.mark.services("mongodb")
def test_session_is_encrypted_and_verified(mongodb: Server, ask: Ask) -> None:
    assert ask(attach_server(mongodb)) == "two apples"


@both
@pytest.mark.services("mongodb")
def test_foreign_authority_is_refused(mongodb: Server, ask: Ask) -> None:
    with pytest.raises(ResourceUnsafe, match="not verified") as caught:
        ask(attach_server(mongodb, ca="system", connect_timeout_s=0.5))
    assert caught.value.check == "tls"


@both
@pytest.mark.services("mongodb")
def test_server_in_plaintext_is_refused(mongodb: Server, ask: Ask) -> None:
    with pytest.raises(ResourceUnsafe) as caught:
        ask(attach_url(mongodb.url, connect_timeout_s=0.5))
    assert caught.value.check == "tls"


@both
@pytest.mark.services("mongodb")
def test_observing_changes_nothing_on_plaintext(mongodb: Server, ask: Ask) -> None:
    resource = attach_url(mongodb.url, mode="observe")
    assert ask(resource) == "two apples"
    assert {finding.check for finding in resource.findings} == {"tls"}


@pytest.mark.parametrize("query", ["tls=false", "tlsInsecure=true", "tlsAllowInvalidHostnames=true"])
def test_weak_parameter_of_the_url_is_refused(query: str) -> None:
    with pytest.raises(ResourceUnsafe, match=query):
        attach_url(f"mongodb://db.example/?{query}").client()


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("mongodb://u:p@db.example/?authMechanism=PLAIN", {"auth": "strong"}),
        ("mongodb://u:p@db.example/?authMechanism=SCRAM-SHA-1", {"auth": "strong"}),
        ("mongodb://u:p@db.example/?authMechanism=PLAIN", {"tls": "off"}),
    ],
)
def test_weak_login_is_refused(url: str, settings: dict[str, str]) -> None:
    with pytest.raises(ResourceUnsafe) as caught:
        attach_url(url, **settings).client()
    assert caught.value.check == "auth"


def attach_hostile(served: tuple[HostileServer, str], **settings: Any) -> Resource:
    service, ca_file = served
    url = f"mongodb://localhost:{service.port}/?replicaSet={SET}"
    return attach_url(url, **{"ca": ca_file, "connect_timeout_s": 3, **settings})


def read(resource: Resource, **options: Any) -> Any:
    with resource.client(**options) as client:
        return client["shop"]["baskets"].find_one({"_id": 7})["basket"]


def read_async(resource: Resource, **options: Any) -> Any:
    async def run() -> Any:
        async with await resource.aclient(**options) as client:
            return (await client["shop"]["baskets"].find_one({"_id": 7}))["basket"]

    return asyncio.run(run())


class _Deposed(ExtendedSet):
    keeps_lead = False


@pytest.mark.parametrize("read", [read, read_async], ids=["sync", "async"])
@pytest.mark.parametrize("kind", [ExtendedSet, _Deposed], ids=["secondary", "primary"])
def test_rogue_member_is_sent_nothing(serve: Serve, kind: type[HostileServer], read: Ask) -> None:
    served = serve(kind)
    served[0].record()
    resource = attach_hostile(served)
    served[0].turn()
    with pytest.raises(ResourceUnsafe, match=r"names 127\.0\.0\.1") as caught:
        read(resource, readPreference="secondaryPreferred")
    assert caught.value.check == "hosts"
    assert served[0].collect_leaks() == []


class _Flood(MongoDB):
    def hello(self) -> dict[str, Any]:
        return {**super().hello(), "maxMessageSizeBytes": 1 << 30}

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        given = super().answer(command)
        return {**given, "padding": b"x" * (8 << 20)} if self.hostile and "find" in command else given


@pytest.mark.parametrize("read", [read, read_async], ids=["sync", "async"])
def test_flood_is_refused(serve: Serve, read: Ask) -> None:
    served = serve(_Flood)
    resource = attach_hostile(served, max_reply_bytes=1 << 20)
    assert read(resource) == "two apples"
    served[0].turn()
    with pytest.raises(ResourceUnsafe) as caught:
        read(resource)
    assert caught.value.check == "max_reply_bytes"


@both
@pytest.mark.services("mongodb")
def test_server_below_the_lowest_version_is_refused(mongodb: Server, ask: Ask) -> None:
    assert ask(attach_server(mongodb, min_version="4.2")) == "two apples"
    with pytest.raises(ResourceUnsafe) as caught:
        ask(attach_server(mongodb, min_version="99"))
    assert caught.value.check == "min_version"


def test_hosts_of_a_srv_name_lie_in_its_domain() -> None:
    from backwatch.resource.systems.mongodb.pymongo import _allow_domain

    attachment = _allow_domain(attach_url("mongodb+srv://shop.abc.example/")._attachment)
    attachment.check_endpoint("node1.abc.example", 27017, "it names")
    with pytest.raises(ResourceUnsafe):
        attachment.check_endpoint("node1.abd.example", 27017, "it names")


@pytest.mark.parametrize(
    ("host", "domain"),
    [("cluster.db.example", "db.example"), ("db.example.", "db.example"), ("localhost", "localhost")],
)
def test_name_in_dns_allows_its_own_domain_alone(host: str, domain: str) -> None:
    allowed = _allow_domain(attach_url(f"mongodb+srv://{host}/shop")._attachment)
    assert list(allowed.allowed_hosts) == [f"*.{domain}"]
    with pytest.raises(ResourceUnsafe):
        allowed.check_host("evil.example")
