"""What Elasticsearch's and OpenSearch's answers hold: rows, errors, nodes, and who answers."""

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes.toolkit.nodes import announced
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import AttributeValue

Facts = tuple[tuple[str, AttributeValue], ...]

MAX_NODES_ANSWER: Final = 1 << 20
_WRITES: Final = frozenset(("index", "create", "update", "delete"))


def rows(operation: str, answer: object) -> tuple[int, int]:
    """Hits or documents returned, and documents written; -1 where the answer does not say."""
    if not isinstance(answer, Mapping):
        return -1, -1
    return _returned(answer), _written(operation, answer)


def _returned(answer: Mapping[str, Any]) -> int:
    hits = answer.get("hits")
    if isinstance(hits, Mapping) and isinstance(hits.get("hits"), list):
        return len(hits["hits"])
    several = answer.get("responses")
    if isinstance(several, list):
        return sum(max(_returned(one), 0) for one in several if isinstance(one, Mapping))
    documents = answer.get("docs")
    if isinstance(documents, list):
        return sum(1 for one in documents if isinstance(one, Mapping) and one.get("found"))
    if isinstance(answer.get("found"), bool):
        return int(answer["found"])
    for name in ("values", "rows", "datarows", "events"):  # ES|QL, SQL, EQL
        if isinstance(answer.get(name), list):
            return len(answer[name])
    return -1


def _written(operation: str, answer: Mapping[str, Any]) -> int:
    items = answer.get("items")
    if isinstance(items, list):
        done = (next(iter(one.values()), None) for one in items if isinstance(one, Mapping))
        return sum(1 for one in done if isinstance(one, Mapping) and "error" not in one)
    if "total" in answer and ("updated" in answer or "deleted" in answer):  # by query, and reindex
        counts = (answer.get(name) for name in ("created", "updated", "deleted"))
        return sum(count for count in counts if isinstance(count, int))
    if operation in _WRITES and isinstance(answer.get("result"), str):
        return 0 if answer["result"] in ("noop", "not_found") else 1
    return -1


def error_of(answer: object) -> str:
    """The service's word for what went wrong: ``index_not_found_exception``."""
    error = answer.get("error") if isinstance(answer, Mapping) else answer
    if isinstance(error, Mapping):
        error = error.get("type")
    text = words(error, 80) if isinstance(error, str) else ""
    return text if text.replace("_", "").isalnum() else ""


def who(path: str, answer: object) -> tuple[str, str]:
    """Version and cluster, from the answer of ``GET /``."""
    if path.partition("?")[0] not in ("/", "") or not isinstance(answer, Mapping):
        return "", ""
    version = answer.get("version")
    number = version.get("number") if isinstance(version, Mapping) else ""
    return words(number or "", 40), words(answer.get("cluster_uuid") or "", 64)


def topology(path: str, answer: object) -> Facts:
    """Where the service says its nodes are: what a client that sniffs will talk to."""
    if not path.startswith("/_nodes") or not isinstance(answer, Mapping):
        return ()
    nodes = answer.get("nodes")
    return announced(_addresses(nodes.values())) if isinstance(nodes, Mapping) else ()


def topology_of_text(path: str, text: object) -> Facts:
    """Likewise, from an answer that nobody has read yet."""
    if not path.startswith("/_nodes") or not isinstance(text, (str, bytes)) or len(text) > MAX_NODES_ANSWER:
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
    """Facts of an answer's head; ``size``: bytes of its body as it was unpacked."""
    facts: list[tuple[str, AttributeValue]] = [(names.HTTP_STATUS, status)]
    packed = words(header("content-length"), 20)
    if header("content-encoding") and packed.isdigit():
        facts += [(names.PAYLOAD_WIRE, int(packed)), (names.PAYLOAD_SIZE, size)]
    warned = header("warning")
    if warned:
        facts.append((names.NOTICES, max(1, words(warned, 8_192).count("299 "))))
    return facts
