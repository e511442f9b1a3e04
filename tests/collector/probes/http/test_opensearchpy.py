"""OpenSearch's client: requests, nodes, queries without their values; and its older versions."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opensearchpy import AsyncOpenSearch, OpenSearch, RequestsHttpConnection, helpers

from backwatch.collector import names
from backwatch.collector.probes.aiohttp import AiohttpProbe
from backwatch.collector.probes.opensearchpy import OpensearchpyProbe
from backwatch.collector.probes.urllib3 import Urllib3Probe
from tests.collector.probes.http.searching import options
from tests.collector.probes.http.test_elasticsearch import run_the_exercise
from tests.collector.probes.recording import Recording, watching
from tests.services.process import free_port
from tests.services.server import Server

PROBES = (OpensearchpyProbe,)
SECRET = "canary@example.com"


@pytest.fixture
def client(opensearch: Server, recording: Recording) -> Iterator[OpenSearch]:
    client = OpenSearch(**options(opensearch, http_auth=(opensearch.user, opensearch.password)))
    yield client
    client.indices.delete(index="users", params={"ignore_unavailable": "true"})
    client.close()


def test_a_request_is_one_call_with_both_layers_facts(
    client: OpenSearch, opensearch: Server, recording: Recording
) -> None:
    client.index(index="users", id=SECRET, body={"name": SECRET})
    connect, index = recording.calls
    session = index.session
    assert (connect.operation, connect.session.system) == ("connect", "opensearch")
    assert (index.operation, index.statement) == ("index", "PUT /users/_doc/? {name:?}")
    assert (session.address, session.port) == ("127.0.0.1", opensearch.tls_port)
    assert (session.account, session.auth_method) == (opensearch.user, "clear-password")
    assert (session.encrypted, session.verified) == (True, "full")
    assert SECRET not in repr(recording.calls)
    assert opensearch.password not in repr(recording.calls)


@pytest.mark.parametrize("below", ["urllib3", "requests", "aiohttp"])
def test_every_http_library_below_hands_over_its_requests(opensearch: Server, below: str) -> None:
    async def waiting() -> None:
        async with AsyncOpenSearch(**options(opensearch)) as client:
            await client.info()

    recording = Recording()
    with (
        watching(Urllib3Probe, recording), watching(AiohttpProbe, recording), watching(OpensearchpyProbe, recording),
    ):  # fmt: skip
        if below == "aiohttp":
            asyncio.run(waiting())
        else:
            # Its connection by requests takes the authority from the environment only.
            chosen: dict[str, Any] = {"connection_class": RequestsHttpConnection} if below == "requests" else {}
            OpenSearch(**options(opensearch, tls=below != "requests", **chosen)).info()
    assert [(one.operation, one.session.system) for one in recording.calls] == [
        ("connect", "opensearch"), ("info", "opensearch"),
    ]  # fmt: skip
    assert recording.calls[1].received > 0


def test_helpers_are_recorded_by_their_requests(client: OpenSearch, recording: Recording) -> None:
    helpers.bulk(client, ({"_index": "users", "name": f"{SECRET}{n}"} for n in range(25)), chunk_size=10, refresh=True)
    assert [one.rows_affected for one in recording.of("bulk")] == [10, 10, 5]
    assert len(list(helpers.scan(client, index="users", size=10))) == 25
    pages = (*recording.of("search"), *recording.of("search.scroll"))
    assert sum(one.rows_returned for one in pages if one.statement.startswith("POST")) == 25
    assert SECRET not in repr(recording.calls)


def test_the_services_error_name_is_reported(client: OpenSearch, recording: Recording) -> None:
    with pytest.raises(Exception, match="index_not_found"):
        client.search(index="none-such")
    recorded = recording.calls[-1]
    assert (recorded.error, recorded.facts[names.HTTP_STATUS]) == ("index_not_found_exception", 404)


def test_the_version_is_known_once_the_app_has_asked(client: OpenSearch, recording: Recording) -> None:
    client.cluster.health()
    version = client.info()["version"]["number"]
    client.cluster.health()
    assert [one.session.server_version for one in recording.calls[1:]] == ["", version, version]


def test_sniffed_nodes_are_the_topology(opensearch: Server, recording: Recording) -> None:
    client = OpenSearch(**options(opensearch, tls=False, sniff_on_start=True))
    sniffed = next(one for one in recording.calls if names.TOPOLOGY in one.facts)
    assert str(sniffed.facts[names.TOPOLOGY]).startswith("127.0.0.1:")
    client.info()
    assert recording.calls[-1].operation == "info"


def test_each_retry_is_a_call_of_its_own(recording: Recording) -> None:
    client = OpenSearch(f"http://127.0.0.1:{free_port()}", max_retries=2)
    with pytest.raises(Exception, match="Connection"):
        client.info()
    assert [one.operation for one in recording.calls] == ["connect"] * 3


def test_packed_responses_are_recorded_with_both_sizes(client: OpenSearch, recording: Recording) -> None:
    client.nodes.stats()
    facts = recording.calls[-1].facts
    assert facts[names.PAYLOAD_SIZE] > 2 * int(facts[names.PAYLOAD_WIRE])  # type: ignore[operator]


def test_an_older_version_is_watched_alike(opensearch: Server) -> None:
    run_the_exercise("opensearchpy", "opensearch", ("opensearch-py==2.0.0",), opensearch)
