"""An app's use of a search service, through Elasticsearch's client or OpenSearch's: both have the same methods."""

import asyncio
import base64
import secrets
import warnings
from collections.abc import Callable
from typing import Any

from tests.collector.probes.http.web import shared
from tests.services.server import Server

KEY = "ApiKey " + base64.b64encode(b"reporting-key:very-secret").decode()
SQL = {"query": "SELECT name FROM people WHERE name = 'Ann'"}


def options(server: Server, *, tls: bool = True, **changes: Any) -> dict[str, Any]:
    """Return a client's arguments: password, verified TLS, packed responses."""
    made: dict[str, Any] = {"hosts": [server.tls_url if tls else server.url], "http_compress": True, "max_retries": 0}
    if tls:
        made["ca_certs"] = server.ca_file
    return made | changes


def _error(failing: Callable[[], object]) -> str:
    try:
        failing()
    except Exception as error:  # noqa: BLE001  any error of the driver
        return type(error).__name__
    return ""


def ask(client: Any, method: str, path: str, **more: Any) -> Any:
    """Send requests that no method of the client covers."""
    if "body" in more:
        more["headers"] = {"content-type": "application/json", "accept": "application/json"}
    return client.transport.perform_request(method, path, **more)


def documents(client: Any, index: str) -> list[object]:
    """Write, read, search; then ask for the server's name and its nodes."""
    seen: list[object] = [bool(client.indices.create(index=index)), bool(client.indices.exists(index=index))]
    seen.append(client.index(index=index, id="ann@example.com", body={"name": "Ann", "n": 1}, refresh=True)["result"])
    lines = [one for n in range(20) for one in ({"index": {"_index": index}}, {"name": f"Bob{n}" * 40, "n": n})]
    seen.append(client.bulk(body=lines, refresh=True)["errors"])
    seen.append(client.get(index=index, id="ann@example.com")["found"])
    queries = {"match_all": {}}, {"query_string": {"query": "name:Ann OR n:>3"}}, {"term": {"n": {"value": 1}}}
    found = (client.search(index=index, body={"query": query, "size": 30}) for query in queries)
    seen.extend(one["hits"]["total"]["value"] for one in found)
    seen.append(client.update(index=index, id="ann@example.com", body={"doc": {"n": 2}})["result"])
    seen.append(client.mget(index=index, body={"ids": ["ann@example.com", "absent"]})["docs"][1]["found"])
    seen.append(client.delete(index=index, id="ann@example.com")["result"])
    seen.append(_error(lambda: client.get(index=index, id="absent")))
    seen.append(_error(lambda: client.search(index=f"{index}-none")))
    client.info()
    seen.append(len(client.nodes.info(metric="http")["nodes"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Each of these ids gets its deprecation warning once.
        ask(client, "GET", "/_cat/master", headers={"x-opaque-id": secrets.token_hex(8), "accept": "text/plain"})
        seen.append(_error(lambda: ask(client, "POST", "/_sql", body=SQL)))
    client.indices.delete(index=index)
    return seen


def calls(
    services: dict[str, Any], fixture: str, make: Callable[..., Any], waiting: Callable[..., Any]
) -> list[object]:
    """Run all calls: over TLS with a password, with a key, against a service that redirects, and under asyncio."""
    server: Server = services[fixture]
    login: dict[str, Any] = {"http_auth" if "Open" in make.__name__ else "basic_auth": (server.user, server.password)}
    index = f"people-{secrets.token_hex(4)}"
    seen: list[object] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = make(**options(server, **login))
        seen += documents(client, index)
        keyed = make(**options(server, tls=False, headers={"authorization": KEY}))
        seen.append(keyed.count(body={"query": {"match_all": {}}})["count"] >= 0)
        away = make(**options(server, tls=False, hosts=[shared(services["ca"]).url]))
        seen.append(_error(lambda: ask(away, "GET", "/redirect")))
        for one in (client, keyed, away):
            one.transport.close()
        seen.append(asyncio.run(_delete_async(waiting(**options(server, **login)), index)))
    return seen


async def _delete_async(client: Any, index: str) -> int:
    try:
        await client.index(index=index, id="1", body={"name": "Cyd"}, refresh=True)
        found = await client.search(index=index, body={"query": {"match_all": {}}})
        await client.indices.delete(index=index)
        return len(found["hits"]["hits"])
    finally:
        await client.close()


def failures(services: dict[str, Any], fixture: str, make: Callable[..., Any]) -> list[Callable[[], object]]:
    """A missing index, an invalid query, an absent server, an unknown certificate."""
    server: Server = services[fixture]

    def quietly(run: Callable[[Any], object], **changes: Any) -> Callable[[], object]:
        def failing() -> object:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return run(make(**options(server, **changes)))

        return failing

    return [
        quietly(lambda client: client.search(index="none-such")),
        quietly(lambda client: client.search(index="_all", body={"query": {"no_such": {}}})),
        quietly(lambda client: client.info(), tls=False, hosts=["http://127.0.0.1:1"]),
    ]
