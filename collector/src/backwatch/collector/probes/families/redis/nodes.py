"""Nodes that Redis announces to its clients: those of a cluster, and the master that a Sentinel names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes.families.redis.statements import name_of
from backwatch.collector.probes.toolkit.nodes import MAX_NODES, address, topology_facts
from backwatch.collector.runtime.record import Facts, Session

_MASTER_QUERIES: Final = ("GET-MASTER-ADDR-BY-NAME", "MASTER", "MASTERS")
_SENTINEL_QUERIES: Final = (*_MASTER_QUERIES, "REPLICAS", "SLAVES", "SENTINELS")
MAX_NODES_TEXT_CHARACTERS: Final = 1 << 16

Nodes = Iterator[tuple[Any, Any]]
"""Hosts and ports, as the server sent them."""


def node_facts(name: str, command: Sequence[object], reply: object, session: Session) -> Facts:
    """Return what a reply announces: the topology, and the redirect target.

    Args:
        name: The command's first word, one of ``ANNOUNCING_COMMANDS``.
    """
    first, _, second = name.partition(" ")
    second = second or name_of(command[1:2])
    if first == "CLUSTER":
        found = _READERS[second](reply) if second in _READERS else ()
        # A node that does not know its own address sends none: it is the one that was queried.
        return topology_facts(_address(host or session.address, port) for host, port in islice(found, 2 * MAX_NODES))
    if second not in _SENTINEL_QUERIES:
        return ()
    nodes = topology_facts(_address(host, port) for host, port in islice(_read_sentinel(reply), 2 * MAX_NODES))
    # Of several masters it is unknown which one the client wants.
    single = second in _MASTER_QUERIES and nodes and "," not in str(nodes[0][1])
    return ((names.REDIRECT_TARGET, nodes[0][1]), *nodes) if single else nodes


def _to_mapping(value: object) -> Mapping[Any, Any]:
    """Return a mapping; RESP2 sends its keys and values alternately."""
    if isinstance(value, Mapping):
        return value
    pairs = zip(value[::2], value[1::2], strict=False) if isinstance(value, (list, tuple)) else ()
    return {key: item for key, item in pairs if isinstance(key, (bytes, str))}


def _get(mapping: Mapping[Any, Any], key: str) -> Any:
    return mapping.get(key.encode(), mapping.get(key))


def _address(host: object, port: object) -> str:
    """Return ``host:port``. The server may nest anything, so only text and numbers are read."""
    return address(host, port) if isinstance(host, (bytes, str)) and isinstance(port, (bytes, str, int)) else ""


def _read_slots(reply: object) -> Nodes:
    for part in _to_sequence(reply):
        for node in _to_sequence(part)[2:]:
            if isinstance(node, (list, tuple)) and len(node) >= 2:
                yield node[0], node[1]


def _read_shards(reply: object) -> Nodes:
    for shard in _to_sequence(reply):
        for member in _to_sequence(_get(_to_mapping(shard), "nodes")):
            node = _to_mapping(member)
            port = _get(node, "tls-port") if _get(node, "port") is None else _get(node, "port")
            yield _get(node, "endpoint") or _get(node, "ip"), port


def _read_lines(reply: object) -> Nodes:
    """Read ``id host:port@bus-port[,host-name] flags …``, one line per node."""
    texts = reply[:MAX_NODES] if isinstance(reply, (list, tuple)) else [reply]
    for line in "\n".join(_text(text) for text in texts).splitlines():
        words = line.split(" ", 2)
        if len(words) == 3:
            host, _, port = words[1].partition(",")[0].partition("@")[0].rpartition(":")
            yield host, port


def _read_sentinel(reply: object) -> Nodes:
    """Read masters, replicas or Sentinels: one state, a list of states, or just an address."""
    if isinstance(reply, (list, tuple)):
        if len(reply) == 2 and not isinstance(reply[0], (list, tuple, Mapping)):
            yield reply[0], reply[1]
            return
        states: Iterable[object] = [reply] if reply and not isinstance(reply[0], (list, tuple, Mapping)) else reply
    else:
        states = [reply]
    for state in map(_to_mapping, states):
        yield _get(state, "ip"), _get(state, "port")


def _to_sequence(value: object) -> Any:
    return value if isinstance(value, (list, tuple)) else ()


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value[:MAX_NODES_TEXT_CHARACTERS].decode("utf-8", "replace")
    return value[:MAX_NODES_TEXT_CHARACTERS] if isinstance(value, str) else ""


_READERS: Final = {
    "SLOTS": _read_slots, "SHARDS": _read_shards, "NODES": _read_lines, "REPLICAS": _read_lines, "SLAVES": _read_lines,
}  # fmt: skip
ANNOUNCING_COMMANDS: Final = frozenset((
    "CLUSTER", "SENTINEL", *(f"CLUSTER {query}" for query in _READERS),
    *(f"SENTINEL {query}" for query in _SENTINEL_QUERIES),
))  # fmt: skip
"""First words, as clients write them: in one argument or in two."""
