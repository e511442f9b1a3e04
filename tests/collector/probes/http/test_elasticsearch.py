"""Elasticsearch's client: requests, nodes, queries without their values; and its older versions."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch, Elasticsearch

from backwatch.collector import names
from backwatch.collector.probes.aiohttp import AiohttpProbe
from backwatch.collector.probes.elasticsearch import ElasticsearchProbe
from backwatch.collector.probes.httpx import HttpxProbe
from backwatch.collector.probes.urllib3 import Urllib3Probe
from tests.collector.probes.http.searching import KEY, ask, options
from tests.collector.probes.recording import Recording, watching
from tests.services.overlays import overlay
from tests.services.process import ROOT, free_port
from tests.services.server import Server

PROBES = (ElasticsearchProbe,)
SECRET = "canary@example.com"
OLD = [("elasticsearch==7.17.0",), ("elasticsearch==8.0.0", "elastic-transport==8.0.0")]


@pytest.fixture
def client(elasticsearch: Server, recording: Recording) -> Iterator[Elasticsearch]:
    with Elasticsearch(**options(elasticsearch, basic_auth=(elasticsearch.user, elasticsearch.password))) as client:
        yield client
        client.indices.delete(index="people", ignore_unavailable=True)


def test_a_request_is_one_call_with_both_layers_facts(
    client: Elasticsearch, elasticsearch: Server, recording: Recording
) -> None:
    client.index(index="people", id=SECRET, document={"name": SECRET, "note": SECRET * 500})
    connect, index = recording.calls
    session = index.session
    assert (connect.operation, connect.session.system) == ("connect", "elasticsearch")
    assert (index.operation, index.statement) == ("index", "PUT /people/_doc/? {name:?,note:?}")
    assert (session.system, session.address, session.port) == ("elasticsearch", "127.0.0.1", elasticsearch.tls_port)
    assert (session.account, session.auth_method) == (elasticsearch.user, "clear-password")
    assert (session.encrypted, session.verified) == (True, "full")
    assert 500 < index.sent < 2_000  # packed
    assert (index.rows_returned, index.rows_affected) == (-1, 1)
    assert SECRET not in repr(recording.calls)
    assert elasticsearch.password not in repr(recording.calls)


@pytest.mark.parametrize("first", [ElasticsearchProbe, Urllib3Probe])
def test_no_call_is_recorded_twice_in_either_order_of_probes(elasticsearch: Server, first: Any) -> None:
    other = Urllib3Probe if first is ElasticsearchProbe else ElasticsearchProbe
    with watching(first) as recording, watching(other, recording):
        Elasticsearch(**options(elasticsearch)).info()
    assert [one.operation for one in recording.calls] == ["connect", "info"]


@pytest.mark.parametrize(
    ("node", "sync"), [("requests", True), ("httpx", True), ("aiohttp", False), ("httpxasync", False)]
)
def test_every_http_library_below_hands_over_its_requests(elasticsearch: Server, node: str, sync: bool) -> None:
    # By an address elastic_transport checks no host name; its requests node does not accept a private authority.
    host = elasticsearch.url if node == "requests" else elasticsearch.tls_url.replace("127.0.0.1", "localhost")
    asked = options(elasticsearch, hosts=[host], node_class=node, tls=node != "requests")

    async def waiting() -> None:
        async with AsyncElasticsearch(**asked) as client:
            await client.info()

    recording = Recording()
    with (
        watching(Urllib3Probe, recording), watching(HttpxProbe, recording), watching(AiohttpProbe, recording),
        watching(ElasticsearchProbe, recording),
    ):  # fmt: skip
        if sync:
            Elasticsearch(**asked).info()
        else:
            asyncio.run(waiting())
    assert [(one.operation, one.session.system) for one in recording.calls] == [
        ("connect", "elasticsearch"), ("info", "elasticsearch"),
    ]  # fmt: skip
    assert recording.calls[1].received > 0
    assert recording.calls[1].session.verified == ("" if node == "requests" else "full")


def test_rows_are_hits_and_documents(client: Elasticsearch, recording: Recording) -> None:
    client.bulk(operations=[one for n in range(7) for one in ({"index": {"_index": "people"}}, {"n": n})], refresh=True)
    client.search(index="people", size=5)
    client.msearch(searches=[{"index": "people"}, {"size": 2}, {"index": "people"}, {"size": 3}])
    client.count(index="people")
    bulk, search, several, count = recording.calls[1:]
    assert (bulk.operation, bulk.rows_affected) == ("bulk", 7)
    assert (search.operation, search.rows_returned) == ("search", 5)
    assert several.rows_returned == 5
    assert count.rows_returned == -1


def test_scrolling_records_each_page(client: Elasticsearch, recording: Recording) -> None:
    client.bulk(operations=[one for n in range(7) for one in ({"index": {"_index": "people"}}, {"n": n})], refresh=True)
    page = client.search(index="people", size=3, scroll="1m")
    while page["hits"]["hits"]:
        page = client.scroll(scroll_id=page["_scroll_id"], scroll="1m")
    assert [one.rows_returned for one in recording.of("scroll")] == [3, 1, 0]
    assert {one.statement for one in recording.of("scroll")} == {"POST /_search/scroll {scroll_id:?,scroll:?}"} or (
        recording.of("scroll")[0].statement.startswith("POST /_search/scroll")
    )


def test_an_injected_operator_changes_the_statement_and_a_word_does_not(
    client: Elasticsearch, recording: Recording
) -> None:
    client.indices.create(index="people")
    for asked in ("ann", "bob lee", f"{SECRET} OR *:*"):
        client.search(index="people", query={"query_string": {"query": f"name:{asked}"}})
    client.search(index="people", q="name:ann OR *")
    recorded = [one.statement for one in recording.of("search")]
    assert recorded[0] == recorded[1] != recorded[2]
    assert recorded[2] == "POST /people/_search {query:{query_string:{query:(?:? OR *:*)}}} !tautology"
    assert recorded[3] == "POST /people/_search?q (?:? OR *) !tautology"
    assert SECRET not in repr(recorded)


def test_the_services_error_name_is_reported(client: Elasticsearch, recording: Recording) -> None:
    with pytest.raises(Exception, match="index_not_found"):
        client.search(index="none-such")
    recorded = recording.calls[-1]
    assert recorded.error == "index_not_found_exception"
    assert (recorded.facts[names.HTTP_STATUS], recorded.facts[names.STATUS_CODE]) == (404, "index_not_found_exception")


def test_the_version_is_known_once_the_app_has_asked(client: Elasticsearch, recording: Recording) -> None:
    client.cluster.health()
    version = client.info()["version"]["number"]
    client.cluster.health()
    before, asked, after = recording.calls[1:]
    assert (before.operation, before.session.server_version) == ("cluster.health", "")
    assert asked.session.server_version == after.session.server_version == version
    assert after.session.server_id


def test_sniffed_nodes_are_the_topology(elasticsearch: Server, recording: Recording) -> None:
    client = Elasticsearch(**options(elasticsearch, tls=False, sniff_on_start=True))
    (sniffed,) = recording.of("nodes.all") or recording.of("nodes")
    assert str(sniffed.facts[names.TOPOLOGY]).startswith("127.0.0.1:")
    client.info()
    assert recording.calls[-1].operation == "info"


def test_each_retry_is_a_call_of_its_own(recording: Recording) -> None:
    client = Elasticsearch(f"http://127.0.0.1:{free_port()}", max_retries=2, retry_on_timeout=True)
    with pytest.raises(Exception, match="Connection"):
        client.info()
    assert [one.operation for one in recording.calls] == ["connect"] * 3
    assert {type(one.error).__name__ for one in recording.calls} <= {"NewConnectionError", "ConnectionRefusedError"}


def test_an_api_keys_id_is_the_account_and_its_secret_is_hidden(elasticsearch: Server, recording: Recording) -> None:
    with Elasticsearch(**options(elasticsearch, tls=False, headers={"authorization": KEY})) as client:
        client.info()
    session = recording.calls[-1].session
    assert (session.account, session.auth_method) == ("reporting-key", "apikey")
    assert "very-secret" not in repr(recording.calls)


def test_sql_is_recorded_as_sql(client: Elasticsearch, recording: Recording) -> None:
    with pytest.raises(Exception, match=""):
        client.sql.query(query="SELECT * FROM people WHERE name = 'x' OR 1=1")
    assert str(recording.calls[-1].sql).endswith("OR 1=1")


def test_threads_and_tasks_keep_their_operations_apart(client: Elasticsearch, recording: Recording) -> None:
    threads = [threading.Thread(target=client.cluster.health) for _ in range(4)]
    threads += [threading.Thread(target=client.info) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(recording.of("info")), len(recording.of("cluster.health"))) == (4, 4)


def test_a_redirect_is_recorded(recording: Recording, elasticsearch: Server, ca: Any) -> None:
    from tests.collector.probes.http.web import shared

    client = Elasticsearch(**options(elasticsearch, tls=False, hosts=[shared(ca).url]))
    with pytest.raises(Exception, match="moved"):
        ask(client, "GET", "/redirect")
    assert recording.calls[-1].facts[names.REDIRECT_TARGET] == "http://169.254.169.254/latest/meta-data/"


@pytest.mark.parametrize("version", OLD, ids="+".join)
def test_older_versions_are_watched_alike(version: tuple[str, ...], elasticsearch: Server, ca: Any) -> None:
    run_the_exercise("elasticsearch", "elasticsearch", version, elasticsearch)


APP = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
from backwatch.collector.probes import load_probes
from tests.collector.probes.recording import watching
from tests.collector.probes.http.web import shared
from tests.services.authority import Authority
from tests.services.server import Server
name, fixture, wanted = sys.argv[1:4]
server = Server(**json.loads(sys.argv[4]))
exercise = importlib.import_module(f"tests.contract.exercises.{name}")
driver = importlib.import_module(name)
assert driver.__versionstr__ == wanted, driver.__versionstr__
[kind] = load_probes(name)
services = {fixture: server, "ca": Authority.__new__(Authority)}
exercise.searching.shared = lambda _ca: Server(kind="web", port=1, url="http://127.0.0.1:1")
bare = exercise.calls(services)
with watching(kind) as recording:
    assert bare == exercise.calls(services), bare
recorded = set()
for call in recording.calls:
    recorded |= call.attributes().keys()
assert not any("?" == one.operation for one in recording.calls)
print(json.dumps([sorted(kind.facts - recorded), sorted({one.operation for one in recording.calls})]))
"""


def run_the_exercise(name: str, fixture: str, version: tuple[str, ...], server: Server) -> None:
    """Run the contract's calls in a separate process, with this version in front."""
    import dataclasses
    import json

    folder = overlay(*version)
    wanted = version[0].partition("==")[2]
    recorded = json.dumps({one.name: getattr(server, one.name) for one in dataclasses.fields(server)})
    path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", APP, name, fixture, wanted, recorded], cwd=Path(ROOT), capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path}, timeout=380,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    missing, operations = json.loads(done.stdout.splitlines()[-1])
    assert missing == [names.REDIRECT_TARGET]  # the only fact that needs another server
    assert {"index", "search", "bulk", "info", "connect"} <= set(operations)
