"""Redis: the command with the classes of its arguments, never an argument.

Of a key only its prefix class is left (``session:?``); options of the protocol stay; runs of the same class become
one, so that ``MGET`` of three keys and of thirty is one statement. Commands that carry secrets or code lose all their
arguments. A first word that is no command of Redis may be anything, so it is not kept.
"""

import re
from collections.abc import Sequence
from typing import Final

from backwatch.collector.destinations.host import classify_network
from backwatch.collector.statements.spec import split_words

MAX_ARGUMENTS: Final = 256
"""Arguments that are read; the rest has the same classes, or is shown as ``…``."""
MAX_STATEMENT: Final = 1_024

_KEYS_FIRST: Final = """
APPEND BITCOUNT BITFIELD BITFIELD_RO BITPOS BLMOVE BRPOPLPUSH COPY DECR DECRBY DUMP EXPIRE EXPIREAT EXPIRETIME
GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER GEOSEARCH GEOSEARCHSTORE GET GETBIT GETDEL GETEX
GETRANGE GETSET HDEL HEXISTS HEXPIRE HGET HGETALL HGETDEL HGETEX HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET
HPERSIST HPEXPIRE HPTTL HRANDFIELD HSCAN HSET HSETEX HSETNX HSTRLEN HTTL HVALS INCR INCRBY INCRBYFLOAT LINDEX
LINSERT LLEN LMOVE LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MOVE PERSIST PEXPIRE PEXPIREAT PEXPIRETIME
PFADD PSETEX PTTL RENAME RENAMENX RESTORE RPOP RPOPLPUSH RPUSH RPUSHX SADD SCARD SET SETBIT SETEX SETNX SETRANGE
SISMEMBER SMEMBERS SMISMEMBER SMOVE SORT SORT_RO SPOP SRANDMEMBER SREM SSCAN STRLEN SUBSTR TTL TYPE XACK XADD
XAUTOCLAIM XCLAIM XDEL XLEN XPENDING XRANGE XREVRANGE XSETID XTRIM ZADD ZCARD ZCOUNT ZINCRBY ZLEXCOUNT ZMSCORE
ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX
ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE PUBLISH
SPUBLISH VADD VSIM VCARD VDIM VEMB VREM VGETATTR VSETATTR
"""
_KEYS_ALL: Final = """
BLPOP BRPOP BZPOPMAX BZPOPMIN DEL EXISTS MGET PFCOUNT PFMERGE SDIFF SDIFFSTORE SINTER SINTERSTORE SUNION
SUNIONSTORE TOUCH UNLINK WATCH SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE
"""
_KEYS_ODD: Final = "MSET MSETNX"
_PLAIN: Final = """
ASKING BGREWRITEAOF BGSAVE BITOP BLMPOP BZMPOP DBSIZE DISCARD ECHO EXEC FAILOVER FLUSHALL FLUSHDB INFO KEYS
LASTSAVE LCS LMPOP LOLWUT MONITOR MULTI PING PSYNC QUIT RANDOMKEY READONLY READWRITE REPLCONF RESET ROLE SAVE
SCAN SELECT SHUTDOWN SINTERCARD SWAPDB SYNC TIME UNWATCH WAIT WAITAOF XREAD XREADGROUP ZDIFF ZDIFFSTORE ZINTER
ZINTERCARD ZINTERSTORE ZMPOP ZUNION ZUNIONSTORE
"""
_HIDDEN: Final = "AUTH HELLO EVAL EVAL_RO EVALSHA EVALSHA_RO FCALL FCALL_RO"
"""Commands whose arguments are passwords or code: all of them become one ``?``."""
_TO_SERVER: Final = "MIGRATE SLAVEOF REPLICAOF"
"""Commands whose first argument is another server: of it only the class is reported."""
_CONTAINERS: Final = {
    "ACL": "CAT DELUSER DRYRUN GENPASS GETUSER LIST LOAD LOG SAVE SETUSER USERS WHOAMI HELP",
    "CLIENT": "CACHING GETNAME GETREDIR ID INFO KILL LIST NO-EVICT NO-TOUCH PAUSE REPLY SETINFO SETNAME "
    "TRACKING TRACKINGINFO UNBLOCK UNPAUSE",
    "CLUSTER": "ADDSLOTS BUMPEPOCH COUNTKEYSINSLOT DELSLOTS FAILOVER FORGET GETKEYSINSLOT INFO KEYSLOT LINKS MEET "
    "MYID NODES REPLICAS REPLICATE RESET SAVECONFIG SETSLOT SHARDS SLAVES SLOTS",
    "COMMAND": "COUNT DOCS GETKEYS INFO LIST",
    "CONFIG": "GET RESETSTAT REWRITE SET",
    "DEBUG": "JMAP OBJECT RELOAD RESTART SEGFAULT SET-ACTIVE-EXPIRE SLEEP",
    "FUNCTION": "DELETE DUMP FLUSH KILL LIST LOAD RESTORE STATS",
    "LATENCY": "DOCTOR GRAPH HISTOGRAM HISTORY LATEST RESET",
    "MEMORY": "DOCTOR MALLOC-STATS PURGE STATS USAGE",
    "MODULE": "LIST LOAD LOADEX UNLOAD",
    "OBJECT": "ENCODING FREQ IDLETIME REFCOUNT",
    "PUBSUB": "CHANNELS NUMPAT NUMSUB SHARDCHANNELS SHARDNUMSUB",
    "SCRIPT": "DEBUG EXISTS FLUSH KILL LOAD",
    "SENTINEL": "CKQUORUM FAILOVER GET-MASTER-ADDR-BY-NAME MASTER MASTERS MONITOR REMOVE REPLICAS RESET "
    "SENTINELS SET SLAVES",
    "SLOWLOG": "GET LEN RESET",
    "XGROUP": "CREATE CREATECONSUMER DELCONSUMER DESTROY SETID",
    "XINFO": "CONSUMERS GROUPS STREAM",
}
_SETTINGS: Final = split_words(
    """
    dir dbfilename appendonly appendfilename requirepass masterauth masteruser save slaveof replicaof loglevel
    logfile maxmemory maxmemory-policy protected-mode bind port timeout rename-command enable-debug-command
    notify-keyspace-events slave-read-only replica-read-only rdbcompression stop-writes-on-bgsave-error tls-port
    unixsocket aclfile databases lua-time-limit slowlog-log-slower-than enable-module-command
    enable-protected-configs
    """
)
"""Names of settings that are reported for ``CONFIG``; their values never are."""
_OPTIONS: Final = split_words(
    """
    EX PX EXAT PXAT NX XX GT LT KEEPTTL GET MATCH COUNT TYPE WITHSCORES WITHSCORE WITHVALUES LIMIT BY ASC DESC
    ALPHA STORE STOREDIST BEFORE AFTER STREAMS BLOCK GROUP MAXLEN MINID NOACK REV BYSCORE BYLEX CH INCR REPLACE
    ABSTTL LEFT RIGHT MIN MAX NOMKSTREAM MKSTREAM ASYNC SYNC NOSAVE SAVE FORCE WITHCOORD WITHDIST WITHHASH
    FROMMEMBER FROMLONLAT BYRADIUS BYBOX AND OR XOR NOT ANY WEIGHTS AGGREGATE SUM LEN IDX MINMATCHLEN
    WITHMATCHLEN FIELDS PERSIST RANK FNX FXX
    """
)
_VALUES_ONLY: Final = split_words(
    """
    APPEND ECHO GETSET HDEL HGET HMGET HMSET HSET HSETNX KEYS LPUSH LPUSHX LSET PFADD PING PUBLISH RPUSH RPUSHX
    SADD SETNX SISMEMBER SPUBLISH SREM XADD ZREM
    """
)
"""Commands without options: the arguments after their keys are values, even if they read like options."""
KINDS: Final = {
    name: kind
    for kind, listed in {
        "first": _KEYS_FIRST,
        "all": _KEYS_ALL,
        "odd": _KEYS_ODD,
        "": _PLAIN,
        "hidden": _HIDDEN,
        "server": _TO_SERVER,
    }.items()
    for name in listed.split()
}
SUBCOMMANDS: Final = {name: frozenset(listed.split()) for name, listed in _CONTAINERS.items()}
_MODULE: Final = re.compile(r"(?:JSON|FT|BF|CF|CMS|TOPK|TDIGEST|TS|GRAPH|AI|RG|TFUNCTION)\.[A-Z_.]{1,24}")
_PREFIX: Final = re.compile(r"([A-Za-z][A-Za-z_.-]{0,23})[:/|]")
TWO_KEYS: Final = frozenset(
    {
        "RENAME",
        "RENAMENX",
        "COPY",
        "RPOPLPUSH",
        "BRPOPLPUSH",
        "LMOVE",
        "BLMOVE",
        "SMOVE",
        "ZRANGESTORE",
        "GEOSEARCHSTORE",
    }
)
BLOCKING: Final = frozenset({"BLPOP", "BRPOP", "BZPOPMAX", "BZPOPMIN"})
_FEW: Final = 12
_OF_NONE, _OF_ALL = 0, 1


def _from_argument(name: str, kind: str) -> int:
    """Return where options may begin after one key; ``_OF_ALL`` and ``_OF_NONE``: only the shortest form is usual."""
    if kind != "first":
        return _OF_ALL if kind == "all" else _OF_NONE
    return 3 if name == "SET" else _FEW if name in _VALUES_ONLY else 2


_USUAL: Final = {
    name: _from_argument(name, kind)
    for name, kind in KINDS.items()
    if kind in ("first", "all", "") and name not in TWO_KEYS and name not in BLOCKING
}
"""Commands whose short forms have a fast path."""


def to_statement(command: Sequence[object]) -> str:
    """Return the canonical text of one command.

    Args:
        command: Name and arguments as the app passed them: text, bytes or numbers.

    >>> to_statement(["SET", "session:8f2c", "secret", "EX", 60])
    'SET session:? ? EX ?'
    >>> to_statement(["AUTH", "ann", "secret"])
    'AUTH ?'
    >>> to_statement(["CONFIG", "SET", "requirepass", "secret"])
    'CONFIG SET requirepass ?'
    """
    if len(command) < _FEW and command:
        word = command[0]
        after = _USUAL.get(word) if word.__class__ is str else None  # pyright: ignore[reportArgumentType]  a str
        if after is not None:
            return _usual(word, after, command)  # pyright: ignore[reportArgumentType]  a str, as just seen
    return _any(command)


def is_command_name(text: str) -> bool:
    """Return whether the text is a command or a subcommand in capitals. Other text may be anything.

    >>> [is_command_name(text) for text in ("GET", "CONFIG SET", "CONFIG HUNTER2", "HUNTER2")]
    [True, True, False, False]
    """
    if text in KINDS:
        return True
    name, _, sub = text.partition(" ")
    listed = SUBCOMMANDS.get(name)
    if listed is not None:
        return not sub or sub in listed
    return _MODULE.fullmatch(text) is not None


def _usual(name: str, after: int, command: Sequence[object]) -> str:
    """Return the statement of a short command with one key; options may begin at the argument ``after``."""
    count = len(command)
    if count == 1:
        return name
    if count == 2 and after:
        return f"{name} {classify_key(command[1])}"
    if after <= _OF_ALL:
        return _any(command)
    if count <= after:
        return f"{name} {classify_key(command[1])} ?"
    last, words = "", list[str]()
    for at in range(2, count):
        argument = command[at]
        kind = argument.__class__
        word = "?"
        if at >= after and kind is not int and kind is not float:
            word = _text(argument).upper()
            if word not in _OPTIONS:
                word = "?"
        if word != last:
            words.append(word)
            last = word
    return " ".join((name, classify_key(command[1]), *(_fold_repeats(words) if len(words) > 3 else words)))


def _any(command: Sequence[object]) -> str:
    """Return the statement of any command."""
    named = _name(command)
    if not named:
        return "?"
    name, rest = named[0], [*named[1:], *command[1 : MAX_ARGUMENTS + 1]]
    if name in SUBCOMMANDS:
        shown = [name, *_container(name, rest)]
    elif _MODULE.fullmatch(name):
        shown = [name, classify_key(rest[0]) if rest else "", "?" if len(rest) > 1 else ""]
    elif name not in KINDS:
        shown = ["?"]
    elif KINDS[name] == "server":
        shown = [name, *_server(name, rest)]
    elif KINDS[name] == "hidden":
        shown = [name, "?" if rest else ""]
    else:
        shown = [name, *_arguments(name, KINDS[name], rest)]
    more = ["…"] if len(command) > MAX_ARGUMENTS + 1 else []
    return " ".join([word for word in shown if word] + more)[:MAX_STATEMENT]


def classify_key(key: object) -> str:
    """Return a key's prefix, if it reads like a word; otherwise ``?``.

    >>> classify_key(b"session:8f2c")
    'session:?'
    >>> classify_key("8f2c")
    '?'
    """
    plain = key.__class__ is str and len(key) <= 64  # pyright: ignore[reportArgumentType]  a str, as just seen
    found = _PREFIX.match(key if plain else _text(key))  # pyright: ignore[reportArgumentType, reportCallIssue]
    return f"{found[1]}:?" if found else "?"


def _text(argument: object) -> str:
    """Return the first 64 characters of an argument as text. Never raises."""
    if isinstance(argument, str):
        return argument[:64]
    if isinstance(argument, (bytes, bytearray, memoryview)):
        return bytes(argument[:64]).decode("utf-8", "replace")
    return ""


def _name(command: Sequence[object]) -> list[str]:
    """Return the first argument as upper-case words: clients pass ``CONFIG SET`` as one argument or as two."""
    return _text(command[0]).upper().split(" ")[:3] if command else []


def _container(name: str, rest: Sequence[object]) -> list[str]:
    if not rest:
        return []
    sub = _text(rest[0]).upper()
    if sub not in SUBCOMMANDS[name]:
        return ["?"]
    shown = [sub]
    if name == "CONFIG" and sub in ("GET", "SET"):
        for setting in rest[1::2] if sub == "SET" else rest[1:]:
            text = _text(setting).lower()
            shown.append(text if text in _SETTINGS else "?")
            if sub == "SET":
                shown.append("?")
        return shown
    if name in ("OBJECT", "XGROUP", "XINFO") and len(rest) > 1:
        return [*shown, classify_key(rest[1]), "?" if len(rest) > 2 else ""]
    return [*shown, "?" if len(rest) > 1 else ""]


def _server(name: str, rest: Sequence[object]) -> list[str]:
    """Return the class of the server that a command names.

    >>> _server("REPLICAOF", [b"198.51.100.7", 6379]), _server("SLAVEOF", ["no", "one"])
    (['external', '?'], ['NO ONE'])
    """
    words = [_text(argument) for argument in rest[:2]]
    if name != "MIGRATE" and [word.upper() for word in words] == ["NO", "ONE"]:
        return ["NO ONE"]
    return [classify_network(words[0]), *("?" for _ in rest[1:2])] if words else []


def _arguments(name: str, kind: str, rest: Sequence[object]) -> list[str]:
    keys = 0 if kind == "" else len(rest) if kind in ("all", "odd") else 2 if name in TWO_KEYS else 1
    if name in BLOCKING:
        keys -= 1  # the last one is a time-out
    named = ["?" if kind == "odd" and at % 2 else classify_key(key) for at, key in enumerate(rest[:keys])]
    options = keys + 1 if name == "SET" else len(rest) if name in _VALUES_ONLY else keys
    after = (_text(argument).upper() if at >= options else "" for at, argument in enumerate(rest) if at >= keys)
    return [*_fold_repeats(named), *_fold_repeats([word if word in _OPTIONS else "?" for word in after])]


def _fold_repeats(shown: list[str]) -> list[str]:
    """Return each run of equal words once, and each run of equal pairs once (``MSET a:? ? a:? ?``)."""
    out: list[str] = []
    for word in shown:
        if out and out[-1] == word:
            continue
        out.append(word)
        if out[-2:] == out[-4:-2]:
            del out[-2:]
    return out
