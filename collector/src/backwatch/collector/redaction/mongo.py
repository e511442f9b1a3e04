"""MongoDB: the command, its collection and the shape of its documents, never a value.

Keys and operators stay in their order; every value becomes ``?``, so that ``{"password": {"$ne": None}}`` is another
statement than ``{"password": "x"}``, and ``$where``, ``$function`` or ``mapReduce`` show without their code. Documents
that are stored are values as a whole. Commands that carry secrets lose everything. A command or a key that reads like
neither may be anything, so it is not kept. Depth, breadth and length are bounded; nothing of the app's runs.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from backwatch.collector.runtime.keyed_cache import keyed_hash, remember
from backwatch.collector.statements.spec import split_words

MAX_STATEMENT: Final = 2_048
MAX_DEPTH: Final = 10
MAX_KEYS: Final = 500
"""Keys and members that are read in one command; the rest is shown as ``…``."""
MAX_MEMBERS: Final = 64
"""Members of one list that are read."""
MAX_WRITES: Final = 2_000
MAX_WRITTEN_KEYS: Final = 20_000
"""Writes of one batch that are read, and the total of their keys."""
MAX_REMEMBERED: Final = 4_096
MAX_KEY: Final = 100

_ON_COLLECTION: Final = split_words(
    """
    aggregate collMod collStats compact convertToCapped count create createIndexes createSearchIndexes delete
    deleteIndexes distinct drop dropIndexes dropSearchIndex find findAndModify findandmodify insert killCursors
    listIndexes listSearchIndexes mapReduce mapreduce planCacheClear planCacheListFilters reIndex update
    updateSearchIndex validate
    """
)
"""Commands whose first value is the name of a collection."""
_HIDDEN: Final = split_words(
    """
    authenticate clone copydb copydbgetnonce copydbsaslstart createUser getnonce saslContinue saslStart updateUser
    """
)
"""Commands whose arguments are secrets or addresses: all of them become one ``?``."""
COMMANDS: Final = (
    _ON_COLLECTION
    | _HIDDEN
    | split_words(
        """
        abortTransaction addShard appendOplogNote applyOps balancerStart balancerStop buildInfo buildinfo bulkWrite
        cloneCollectionAsCapped collectionless commitTransaction configureFailPoint connPoolStats connectionStatus
        createRole currentOp dataSize dbHash dbStats dbstats dropAllRolesFromDatabase dropAllUsersFromDatabase
        dropConnections dropDatabase dropRole dropUser enableSharding endSessions eval explain filemd5 flushRouterConfig
        fsync fsyncUnlock geoNear getClusterParameter getCmdLineOpts getDefaultRWConcern getLastError getMore
        getParameter getShardMap grantPrivilegesToRole grantRolesToRole grantRolesToUser group hello hostInfo
        invalidateUserCache isMaster isdbgrid ismaster killAllSessions killAllSessionsByPattern killOp killSessions
        listCollections listCommands listDatabases listShards lockInfo logRotate logout moveChunk movePrimary ping
        profile refreshSessions removeShard renameCollection replSetAbortPrimaryCatchUp replSetFreeze
        replSetGetConfig replSetGetStatus replSetInitiate replSetMaintenance replSetReconfig replSetResizeOplog
        replSetStepDown replSetSyncFrom resync revokePrivilegesFromRole revokeRolesFromRole revokeRolesFromUser
        rolesInfo rotateCertificates serverStatus setClusterParameter setDefaultRWConcern
        setFeatureCompatibilityVersion setParameter setUserWriteBlockMode shardCollection shutdown split
        startSession top updateRole usersInfo whatsmyuri
        """
    )
)
_PLUMBING: Final = split_words(
    """
    $clusterTime $configServerState $db $readPreference $audit apiDeprecationErrors apiStrict apiVersion autocommit
    backpressure batchSize client comment compression cursor lsid maxTimeMS ordered readConcern singleBatch
    startTransaction txnNumber writeConcern
    """
)
"""Fields that the driver adds, or that do not change the meaning of a command."""
_DOCUMENTS: Final = frozenset(("documents", "document"))
_UPDATES: Final = frozenset(("u", "update", "updateMods"))
_BATCHES: Final = frozenset(("updates", "deletes", "ops"))
_NAME: Final = re.compile(r"[^\W\d][\w-]{0,63}(?:\.[\w-]{1,64}){0,3}")
_OPERATOR: Final = re.compile(r"\$[A-Za-z]{1,40}")
_SEGMENT: Final = re.compile(r"[^\W\d][\w-]{0,39}")
_POSITION: Final = re.compile(r"\$(?:\[\w{0,40}\])?")
_DIGITS: Final = re.compile(r"\d")
_MIXED: Final = re.compile(r"[a-z][A-Z]")
MAX_DIGITS: Final = 4
"""Digits of a word that may still be a name: a word with more is an identifier, hence a value."""

_keys: dict[str, str] = {}
"""Cached keys that are reported unchanged."""
_marked: dict[int | bytes, str] = {}
"""Cached results for other keys, by keyed hash: the raw key may be anything."""


def get_command_name(command: object) -> str:
    """Return the command's name if it is known; otherwise ``?``."""
    if isinstance(command, dict):
        for key in dict.keys(command):
            return key if isinstance(key, str) and key in COMMANDS else "?"
    return "?"


def to_statement(command: object) -> str:
    """Return the canonical text of one command document.

    >>> to_statement({"find": "users", "filter": {"name": "ann", "age": {"$gt": 30}}, "lsid": {"id": b"1"}})
    'find users filter:{name:?,age:{$gt:?}}'
    >>> to_statement({"insert": "users", "documents": [{"name": "ann"}]})
    'insert users documents:?'
    >>> update = {"q": {"_id": 1}, "u": {"$set": {"name": "ann"}}, "multi": False}
    >>> to_statement({"update": "users", "updates": [update]})
    'update users updates:[{q:{_id:?},u:{$set:{name:?}},multi:?}]'
    >>> to_statement({"saslStart": 1, "mechanism": "PLAIN", "payload": b"secret"})
    'saslStart ?'
    """
    text = _statement(command, _KeyBudget(), 0)
    return text if len(text) <= MAX_STATEMENT else text[: MAX_STATEMENT - 1] + "…"


class _KeyBudget:
    """The keys and members that may still be read."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_KEYS


def _statement(command: object, budget: _KeyBudget, depth: int) -> str:
    name = get_command_name(command)
    if name == "?" or not isinstance(command, dict):
        return "?"
    if name in _HIDDEN:
        return f"{name} ?"
    known: dict[Any, Any] = command
    out = [name]
    items = iter(dict.items(known))
    target = next(items)[1]
    if name == "getMore":
        return f"getMore {_collection(dict.get(known, 'collection'))}"
    if name in _ON_COLLECTION:
        if isinstance(target, str):
            out.append(_collection(target))
    elif isinstance(target, dict):
        out.append(_statement(target, budget, depth + 1) if name == "explain" and depth == 0 else "?")
    elif isinstance(target, (str, bytes)):
        out.append("?")
    for key, value in items:
        if key in _PLUMBING:
            continue
        budget.left -= 1
        if budget.left < 0:
            out.append("…")
            break
        out.append(f"{_key(key)}:{_argument(key, value, budget)}")
    return " ".join(out)


def _argument(key: object, value: object, budget: _KeyBudget) -> str:
    """Return the shape of the value of a key in a command or in one write of a batch."""
    if key in _DOCUMENTS:
        return "?"
    if key in _UPDATES:
        return _update(value, budget)
    if key in _BATCHES and isinstance(value, (list, tuple)):
        return _batch(value)
    return _shape(value, budget, 1)


def _collection(name: object) -> str:
    if isinstance(name, str) and len(name) <= MAX_KEY and _NAME.fullmatch(name):
        return name if len(_DIGITS.findall(name)) <= 2 * MAX_DIGITS else "?"
    return "?"


def _key(key: object) -> str:
    """Return a key as it is reported: the parts of its path that read like names, or an operator."""
    if key.__class__ is not str:
        return "?"
    known = _keys.get(key)  # pyright: ignore[reportArgumentType, reportCallIssue]  a str, as just seen
    if known is None:
        known = _marked.get(keyed_hash(key))  # pyright: ignore[reportArgumentType]  likewise
        if known is None:
            known = _redact_key(str(key))
    return known


def _redact_key(key: str) -> str:
    if len(key) > MAX_KEY:
        return "?"
    if _OPERATOR.fullmatch(key):
        shown = key
    else:
        parts = [_part(part) for part in key.split(".")[:9]]
        # A part that is neither a name nor a position makes the whole key a value: an address has dots, too.
        shown = "?" if "" in parts else ".".join(parts[:8]) + (".…" if len(parts) > 8 else "")
    if shown == key:
        return remember(_keys, shown, shown, MAX_REMEMBERED)
    return remember(_marked, keyed_hash(key), shown, MAX_REMEMBERED)


def _part(part: str) -> str:
    if _SEGMENT.fullmatch(part) and len(_DIGITS.findall(part)) <= MAX_DIGITS:
        # Letters alone may be a token, too, with capitals in any position.
        return "" if len(part) >= 16 and len(_MIXED.findall(part)) > 4 else part
    if _POSITION.fullmatch(part):
        return "$[]"
    return "?" if part.isdecimal() and len(part) <= MAX_DIGITS else ""


def _shape(value: object, budget: _KeyBudget, depth: int) -> str:
    if isinstance(value, dict):
        if depth > MAX_DEPTH:
            return "{…}"
        parts: list[str] = []
        for key, inner in dict.items(value):
            budget.left -= 1
            if budget.left < 0:
                parts.append("…")
                break
            shown = _key(key)
            if isinstance(inner, (dict, list, tuple)):
                parts.append(f"{shown}:{_shape(inner, budget, depth + 1)}")
            else:
                parts.append(shown + ":?")
        return "{" + ",".join(parts) + "}"
    if isinstance(value, (list, tuple)):
        return "[…]" if depth > MAX_DEPTH else _list(value, budget, depth)
    return "?"


def _list(value: "list[Any] | tuple[Any, ...]", budget: _KeyBudget, depth: int) -> str:
    """Return members in order, runs of equal ones once: ``$in`` with 3 and with 30 values is one statement."""
    parts: list[str] = []
    for inner in value[:MAX_MEMBERS]:
        if budget.left < 0:
            break
        if isinstance(inner, (dict, list, tuple)):
            budget.left -= 1
            shown = _shape(inner, budget, depth + 1)
        else:
            shown = "?"
        if not parts or parts[-1] != shown:
            parts.append(shown)
    if parts in ([], ["?"]):
        return "[?]"
    if len(value) > MAX_MEMBERS or budget.left < 0:
        parts.append("…")
    return "[" + ",".join(parts) + "]"


def _update(value: object, budget: _KeyBudget) -> str:
    """Return the shape of an update: operators and their fields. A replacement document is a value."""
    if isinstance(value, (list, tuple)):
        return _list(value, budget, 1)  # a pipeline
    if not isinstance(value, dict):
        return "?"
    if not _is_operator(next(iter(dict.keys(value)), None)):
        return "?"
    parts: list[str] = []
    for key, fields in dict.items(value):
        budget.left -= 1
        if budget.left < 0:
            parts.append("…")
            break
        shown = _fields(dict.items(fields), budget) if isinstance(fields, dict) else "?"
        parts.append(f"{_key(key)}:{shown}")
    return "{" + ",".join(parts) + "}"


def _fields(items: Iterable[tuple[object, object]], budget: _KeyBudget) -> str:
    parts: list[str] = []
    for key, value in items:
        budget.left -= 1
        if budget.left < 0:
            parts.append("…")
            break
        operators = isinstance(value, dict) and _is_operator(next(iter(dict.keys(value)), None))
        parts.append(f"{_key(key)}:{_shape(value, budget, 3) if operators else '?'}")
    return "{" + ",".join(parts) + "}"


def _is_operator(key: object) -> bool:
    return isinstance(key, str) and key[:1] == "$"


def _batch(writes: "list[Any] | tuple[Any, ...]") -> str:
    """Return the distinct writes of a batch in alphabetical order, independent of their number."""
    shown: set[str] = set()
    left, more = MAX_WRITTEN_KEYS, len(writes) > MAX_WRITES
    for write in writes[:MAX_WRITES]:
        if left <= 0:
            more = True
            break
        budget = _KeyBudget()
        shown.add(_write(write, budget))
        left -= MAX_KEYS - budget.left + 1
    return "[" + ",".join([*sorted(shown), *(["…"] if more else [])]) + "]"


def _write(write: object, budget: _KeyBudget) -> str:
    if not isinstance(write, dict):
        return "?"
    parts: list[str] = []
    for key, value in dict.items(write):
        if key in ("collation", "hint", "comment"):
            continue
        budget.left -= 1
        if budget.left < 0:
            parts.append("…")
            break
        parts.append(f"{_key(key)}:{_argument(key, value, budget)}")
    return "{" + ",".join(parts) + "}"
