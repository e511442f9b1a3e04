"""The facts in responses of Elasticsearch and OpenSearch: rows, errors, nodes, and the server's identity."""

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes.toolkit.nodes import topology_facts
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import AttributeValue, Facts

MAX_NODES_BYTES: Final = 1 << 20
_WRITES: Final = frozenset(("index", "create", "update", "delete"))


def row_counts(operation: str, response: object) -> tuple[int, int]:
    """Return the hits or documents returned, and documents written; -1 where the response does not say."""
    if not isinstance(response, Mapping):
        return -1, -1
    return _count_returned(response), _count_written(operation, response)


def _count_returned(response: Mapping[str, Any]) -> int:
    hits = response.get("hits")
    if isinstance(hits, Mapping) and isinstance(hits.get("hits"), list):
        return len(hits["hits"])
    several = response.get("responses")
    if isinstance(several, list):
        return sum(max(_count_returned(part), 0) for part in several if isinstance(part, Mapping))
    documents = response.get("docs")
    if isinstance(documents, list):
        return sum(1 for document in documents if isinstance(document, Mapping) and document.get("found"))
    if isinstance(response.get("found"), bool):
        return int(response["found"])
    for name in ("values", "rows", "datarows", "events"):  # ES|QL, SQL, EQL
        if isinstance(response.get(name), list):
            return len(response[name])
    return -1


def _count_written(operation: str, response: Mapping[str, Any]) -> int:
    items = response.get("items")
    if isinstance(items, list):
        done = (next(iter(item.values()), None) for item in items if isinstance(item, Mapping))
        return sum(1 for outcome in done if isinstance(outcome, Mapping) and "error" not in outcome)
    if "total" in response and ("updated" in response or "deleted" in response):  # by query, and reindex
        counts = (response.get(name) for name in ("created", "updated", "deleted"))
        return sum(count for count in counts if isinstance(count, int))
    if operation in _WRITES and isinstance(response.get("result"), str):
        return 0 if response["result"] in ("noop", "not_found") else 1
    return -1


def error_of(response: object) -> str:
    """Return the service's name of an error: ``index_not_found_exception``."""
    error = response.get("error") if isinstance(response, Mapping) else response
    if isinstance(error, Mapping):
        error = error.get("type")
    text = words(error, 80) if isinstance(error, str) else ""
    return text if text.replace("_", "").isalnum() else ""


def server_of(path: str, response: object) -> tuple[str, str]:
    """Return version and cluster id, from the response to ``GET /``."""
    if path.partition("?")[0] not in ("/", "") or not isinstance(response, Mapping):
        return "", ""
    version = response.get("version")
    number = version.get("number") if isinstance(version, Mapping) else ""
    return words(number or "", 40), words(response.get("cluster_uuid") or "", 64)


def topology(path: str, response: object) -> Facts:
    """Return the addresses of the nodes that the service announces: a client that sniffs connects to them."""
    if not path.startswith("/_nodes") or not isinstance(response, Mapping):
        return ()
    nodes = response.get("nodes")
    return topology_facts(_addresses(nodes.values())) if isinstance(nodes, Mapping) else ()


def topology_of_text(path: str, text: object) -> Facts:
    """Return them likewise, from a body that is not parsed yet."""
    if not path.startswith("/_nodes") or not isinstance(text, (str, bytes)) or len(text) > MAX_NODES_BYTES:
        return ()
    try:
        return topology(path, json.loads(text))
    except ValueError:
        return ()


def _addresses(nodes: Iterable[object]) -> Iterable[str]:
    for node in islice(nodes, 512):
        http = node.get("http") if isinstance(node, Mapping) else None
        address = http.get("publish_address") if isinstance(http, Mapping) else None
        if isinstance(address, str):
            yield words(address, 200).rpartition("/")[2]


def head(status: int, header: Any, size: int) -> list[tuple[str, AttributeValue]]:
    """Return the facts of a response's head.

    Args:
        size: Bytes of its body, unpacked.
    """
    facts: list[tuple[str, AttributeValue]] = [(names.HTTP_STATUS, status)]
    packed = words(header("content-length"), 20)
    if header("content-encoding") and packed.isdigit():
        facts += [(names.PAYLOAD_WIRE, int(packed)), (names.PAYLOAD_SIZE, size)]
    warning = header("warning")
    if warning:
        facts.append((names.NOTICES, max(1, words(warning, 8_192).count("299 "))))
    return facts
