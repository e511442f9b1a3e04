"""The nodes that Redis names to its clients: those of a cluster, and the master that a Sentinel says is one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload.formats import Facts
from backwatch.collector.probes.families.redis.text import name_of
from backwatch.collector.probes.toolkit.nodes import MAX_NODES, address, announced
from backwatch.collector.runtime.record import Session

_CLUSTER: Final = ("SLOTS", "SHARDS", "NODES", "REPLICAS", "SLAVES")
_MASTERS: Final = ("GET-MASTER-ADDR-BY-NAME", "MASTER", "MASTERS")
_OTHERS: Final = ("REPLICAS", "SLAVES", "SENTINELS")
ANNOUNCING: Final = frozenset(
    ["CLUSTER", "SENTINEL"] + [f"CLUSTER {one}" for one in _CLUSTER] + [f"SENTINEL {one}" for one in _MASTERS + _OTHERS]
)
"""First words, as clients write them: in one or in two."""
MAX_TEXT: Final = 1 << 16


def facts_of(name: str, command: Sequence[object], reply: object, session: Session) -> Facts:
    """What the reply announces: the topology, and where it sends the client to.

    Args:
        name: The command's first word, one of ``ANNOUNCING``.
    """
    first, _, second = name.partition(" ")
    second = second or name_of(command[1:2])
    if first == "CLUSTER":
        found = _READERS[second](reply) if second in _CLUSTER else ()
        # A node that does not know its own address gives none: it is the one that was asked.
        return announced(_address(host or session.address, port) for host, port in islice(found, 2 * MAX_NODES))
    if second not in _MASTERS and second not in _OTHERS:
        return ()
    nodes = announced(_address(host, port) for host, port in islice(_told(reply), 2 * MAX_NODES))
    # Of several masters it is not known which one the client wants.
    single = second in _MASTERS and nodes and "," not in str(nodes[0][1])
    return ((names.REDIRECT_TARGET, nodes[0][1]), *nodes) if single else nodes


def _mapping(value: object) -> Mapping[Any, Any]:
    """A mapping, whose keys and values RESP2 gives in turn."""
    if isinstance(value, Mapping):
        return value
    pairs = zip(value[::2], value[1::2], strict=False) if isinstance(value, (list, tuple)) else ()
    return {key: one for key, one in pairs if isinstance(key, (bytes, str))}


def _of(mapping: Mapping[Any, Any], key: str) -> Any:
    return mapping.get(key.encode(), mapping.get(key))


def _address(host: object, port: object) -> str:
    """Nothing but a word and a number: who answers may nest whatever it likes."""
    return address(host, port) if isinstance(host, (bytes, str)) and isinstance(port, (bytes, str, int)) else ""


def _slots(reply: object) -> Iterator[tuple[Any, Any]]:
    for part in _listed(reply):
        for node in _listed(part)[2:]:
            if isinstance(node, (list, tuple)) and len(node) >= 2:
                yield node[0], node[1]


def _shards(reply: object) -> Iterator[tuple[Any, Any]]:
    for shard in _listed(reply):
        for one in _listed(_of(_mapping(shard), "nodes")):
            node = _mapping(one)
            port = _of(node, "tls-port") if _of(node, "port") is None else _of(node, "port")
            yield _of(node, "endpoint") or _of(node, "ip"), port


def _lines(reply: object) -> Iterator[tuple[Any, Any]]:
    """``id host:port@bus-port[,host-name] flags …``, one line a node."""
    texts = reply[:MAX_NODES] if isinstance(reply, (list, tuple)) else [reply]
    for line in "\n".join(_text(one) for one in texts).splitlines():
        words = line.split(" ", 2)
        if len(words) == 3:
            host, _, port = words[1].partition(",")[0].partition("@")[0].rpartition(":")
            yield host, port


def _told(reply: object) -> Iterator[tuple[Any, Any]]:
    """Masters, replicas or Sentinels: one state, or a list of them, or just an address."""
    if isinstance(reply, (list, tuple)):
        if len(reply) == 2 and not isinstance(reply[0], (list, tuple, Mapping)):
            yield reply[0], reply[1]
            return
        states: Iterable[object] = [reply] if reply and not isinstance(reply[0], (list, tuple, Mapping)) else reply
    else:
        states = [reply]
    for one in states:
        state = _mapping(one)
        yield _of(state, "ip"), _of(state, "port")


def _listed(value: object) -> Any:
    return value if isinstance(value, (list, tuple)) else ()


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value[:MAX_TEXT].decode("utf-8", "replace")
    return value[:MAX_TEXT] if isinstance(value, str) else ""


_READERS: Final = {"SLOTS": _slots, "SHARDS": _shards, "NODES": _lines, "REPLICAS": _lines, "SLAVES": _lines}
