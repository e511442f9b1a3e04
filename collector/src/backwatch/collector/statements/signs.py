"""What the raw form of a statement showed, as words of the closed list ``names.SIGNS``; computed from its tokens.

A sign is no verdict: rules join it with what is new at a call site. So a sign must be rare in honest SQL, that of
object mappers above all, and each says one thing only. What they rely on: an injection has to end somebody else's
literal, condition or statement, and leaves behind what no programmer writes on purpose.
"""

import re
from collections.abc import Iterable
from typing import Final

from backwatch.collector.names import SIGNS
from backwatch.collector.statements import spec
from backwatch.collector.statements.shapes import LITERALS, Shape
from backwatch.collector.statements.tokens import Token

STRONG_SIGNS: Final = frozenset({
    "tautology", "union-appended", "stacked", "time-delay", "unbalanced-quote", "file-access", "program", "error-based",
    "conditional", "executable-comment",
})  # fmt: skip
"""Signs that honest statements hardly ever show; the rest weigh only beside others."""

_ORDER: Final = {sign: number for number, sign in enumerate(SIGNS)}

_CALLS: Final = {
    "time-delay": "SLEEP PG_SLEEP PG_SLEEP_FOR PG_SLEEP_UNTIL BENCHMARK RECEIVE_MESSAGE RANDOMBLOB ",
    "file-access": "LOAD_FILE PG_READ_FILE PG_READ_BINARY_FILE PG_LS_DIR PG_STAT_FILE LO_IMPORT LO_EXPORT READFILE WRITEFILE "
    "LOAD_EXTENSION OPENROWSET OPENDATASOURCE UTL_FILE",
    "program": "SYS_EXEC SYS_EVAL SYS_GET LIB_MYSQLUDF_SYS_INFO",
    "error-based": "EXTRACTVALUE UPDATEXML XMLTYPE GTID_SUBSET GTID_SUBTRACT JSON_KEYS ST_LATFROMGEOHASH GET_HOST_ADDRESS "
    "DRITHSX ORDMYS CTXSYS QUERY_TO_XML DATABASE_TO_XML",
    "version-probe": "VERSION DATABASE USER SCHEMA SESSION_USER SYSTEM_USER CURRENT_USER SQLITE_VERSION DB_NAME HOST_NAME "
    "CURRENT_DATABASE SYS_CONTEXT USER_NAME SUSER_NAME SUSER_SNAME IS_SRVROLEMEMBER INET_SERVER_ADDR SERVERPROPERTY",
    "conditional": "ELT MAKE_SET",
    "encoded-string": "UNHEX FROM_BASE64",
}
_WORDS: Final = {
    "catalogue": "INFORMATION_SCHEMA PG_CATALOG PG_SHADOW PG_AUTHID PG_USER PG_TABLES PG_DATABASE PG_SETTINGS PG_CLASS "
    "PG_ATTRIBUTE SQLITE_MASTER SQLITE_SCHEMA SQLITE_TEMP_MASTER SYSOBJECTS SYSCOLUMNS SYSUSERS SYSDATABASES SYSLOGINS "
    "ALL_TABLES ALL_TAB_COLUMNS ALL_USERS USER_TABLES USER_TAB_COLUMNS DBA_USERS DBA_TABLES MSYSOBJECTS MSYSACCESSOBJECTS "
    "INNODB_TABLE_STATS INNODB_INDEX_STATS SYSIBM SYSTABLES SYSCAT RDB$RELATIONS RDB$DATABASE RDB$FIELDS DOMAIN.TABLES "
    "SYSPROCESSES V$VERSION V$INSTANCE PRODUCT_COMPONENT_VERSION SCHEMATA",
    "program": "XP_CMDSHELL SP_CONFIGURE SP_OACREATE SP_OAMETHOD XP_REGREAD XP_REGWRITE DBMS_SCHEDULER DBMS_JAVA_TEST",
    "file-access": "OUTFILE DUMPFILE XP_DIRTREE XP_FILEEXIST XP_SUBDIRS",
    "version-probe": "@@VERSION @@DATADIR @@HOSTNAME @@BASEDIR @@VERSION_COMPILE_OS @@VERSION_COMMENT @@SERVERNAME @@TMPDIR",
    "time-delay": "WAITFOR DBMS_LOCK DBMS_PIPE",
    "error-based": "UTL_INADDR UTL_HTTP DBMS_UTILITY DBMS_LDAP HTTPURITYPE CTXSYS ANALYSE",
}


def _by_word(table: dict[str, str]) -> dict[str, str]:
    return {word: sign for sign, words in table.items() for word in words.split()}


_SIGN_OF_CALL: Final = _by_word(_CALLS)
_SIGN_OF_WORD: Final = _by_word(_WORDS)

_COMMENT_ENDS: Final = re.compile(r"\*/$")
_BETWEEN_LETTERS: Final = re.compile(r"(?<=\w)'(?=\w)")
_LEFT_OVER: Final = re.compile(
    r"""[\s\-+]*(?:$|['")%;]|(?:AND|OR|LIMIT|ORDER\s+BY|GROUP\s+BY|WHERE|OFFSET|RETURNING|HAVING|FETCH|FOR\s+UPDATE|DESC|ASC)\b)""",
    re.IGNORECASE,
)
_ODD_CASE: Final = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]")
_KEYWORDS: Final = frozenset(
    {"SELECT", "UNION", "FROM", "WHERE", "AND", "INSERT", "UPDATE", "DELETE", "ORDER", "GROUP", "LIMIT", "NULL"}
)
_AFTER_STRING: Final = frozenset(
    [
        "AND",
        "OR",
        "AS",
        "FROM",
        "THEN",
        "ELSE",
        "END",
        "WHEN",
        "IN",
        "IS",
        "LIKE",
        "NOT",
        "BETWEEN",
        "ORDER",
        "GROUP",
        "LIMIT",
        "UNION",
        "COLLATE",
        "ESCAPE",
        "DESC",
        "ASC",
        "ON",
        "WHERE",
        "HAVING",
        "RETURNING",
        "INTO",
        "USING",
        "FOR",
        "WITH",
        "VALUES",
        "SELECT",
        "SEPARATOR",
        "DIV",
        "MOD",
        "XOR",
        "ILIKE",
        "RLIKE",
        "REGEXP",
        "EXCEPT",
        "INTERSECT",
    ]
)
_HARMLESS_PAIRS: Final = frozenset({("0", "1"), ("1", "0"), ("1", "1"), ("0", "0"), ("1", "2")})
_CONDITION_ENDS: Final = frozenset({"", ")", "OR", "AND", "ORDER", "GROUP", "LIMIT", "UNION", ";", "HAVING", "XOR"})
_VERBS: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "MERGE"})
_SCRIPTS: Final = frozenset(
    {"CREATE", "BEGIN", "DECLARE", "DO", "SET", "START", "ALTER", "DROP", "IF", "GRANT", "USE", "LOCK"}
)
_LAST_ID: Final = frozenset({
    "SCOPE_IDENTITY", "LAST_INSERT_ID", "LAST_INSERT_ROWID", "@@ROWCOUNT", "@@IDENTITY", "LASTVAL", "CHANGES", "FOUND_ROWS",
    "ROW_COUNT", "CURRVAL",
})  # fmt: skip
_ODD_BLANK: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00a0\u3000]")
_UNION_FILLERS: Final = frozenset({"ALL", "DISTINCT", "(", "/*!", "*/"})
_LIST_ENDS: Final = frozenset({"FROM", "UNION", ")", ";", "WHERE", "LIMIT", "ORDER", "INTO"})
_CONSTANT_ENDS: Final = _LIST_ENDS | {",", ""}
_PARTS: Final = frozenset({"SUBSTR", "SUBSTRING", "MID", "LEFT", "RIGHT"})
_CODES: Final = frozenset({"ASCII", "ORD", "UNICODE", "HEX", "BIN"})
_WRAPS: Final = frozenset({"CAST", "IFNULL", "COALESCE", "CONCAT", "ISNULL", "CONVERT", "@@VERSION", "@@DATADIR"})
_FAILING: Final = frozenset({
    "FLOOR", "EXP", "CONVERT", "CAST", "POLYGON", "MULTIPOINT", "LINESTRING", "GEOMETRYCOLLECTION", "MULTIPOLYGON", "ROW",
    "MULTILINESTRING",
})  # fmt: skip
_NUMBER_TYPES: Final = frozenset(
    {"INT", "INTEGER", "NUMERIC", "DECIMAL", "SIGNED", "UNSIGNED", "BIGINT", "FLOAT", "DOUBLE"}
)
_CONNECTIVES: Final = frozenset({"OR", "AND", "XOR", "HAVING", "WHERE"})


def _comments(shape: Shape, found: set[str]) -> None:
    open_brackets = shape.words.count("(") - shape.words.count(")")
    for number, (before, (_, start, end)) in enumerate(shape.comments):
        text = shape.text[start:end]
        if text.startswith(("/*!", "/*M!")):
            found.add("executable-comment")
        if text.startswith("/*"):
            _block_comment(shape, before, start, end, text, found)
            continue
        body = _BETWEEN_LETTERS.sub("", text.lstrip("-#")[:4096])
        if not before or "\n" in shape.text[shape.tokens[before - 1][2] : start]:
            continue  # a line of its own
        last = before == len(shape.tokens) and number == len(shape.comments) - 1
        if (
            body.count("'") % 2
            or body.count('"') % 2
            or (last and (open_brackets > 0 or _LEFT_OVER.match(body) or (len(body) < 12 and _ODD_CASE.search(body))))
        ):
            found.add("comment-tail")


def _block_comment(shape: Shape, before: int, start: int, end: int, text: str, found: set[str]) -> None:
    if len(text) < 4 or not text.endswith("*/"):
        found.add("comment-tail")
    elif 0 < before < len(shape.tokens) and len(text) < 16:
        left, right = shape.tokens[before - 1], shape.tokens[before]
        if left[2] == start and end == right[1] and spec.WORD in (left[0], right[0]):
            found.add("odd-spacing")


def _tautology(shape: Shape, at: int) -> bool:
    """Whether the condition after the connective at ``at`` compares what is known beforehand."""
    words, connective = shape.words, shape.words[at]
    start = at + 1
    left = shape.literal(start)
    if left:
        operator = shape.comparing(left)
        if not operator:
            return (
                connective in ("OR", "XOR", "|")
                and words[left] in _CONDITION_ENDS
                and words[left - 1] not in ("NULL", "FALSE")
            )
        right = shape.literal(operator)
        if not right:
            return False
        pair = (
            (shape.raw(left - 1), shape.raw(right - 1)) if right - operator == 1 and operator - left < 3 else ("", "")
        )
        if pair not in _HARMLESS_PAIRS:
            return True
        return connective in ("OR", "XOR", "|") and pair[0] == pair[1] and "!" not in words[left:operator]
    while words[start] == "(":
        start += 1
    left = shape.path(start)
    if not left or connective not in ("OR", "XOR", "|"):
        return False
    operator = shape.comparing(left)
    right = shape.path(operator) if operator else 0
    return (
        bool(right)
        and words[left:operator] == ["="]
        and words[right] in _CONDITION_ENDS
        and _same(shape, start, left, operator, right)
    )


def _same(shape: Shape, start: int, left: int, other: int, right: int) -> bool:
    return [shape.raw(at) for at in range(start, left)] == [shape.raw(at) for at in range(other, right)]


def _union(shape: Shape, at: int) -> bool:
    """Whether the SELECT after the UNION at ``at`` was made to fit somebody else's columns."""
    words = shape.words
    start = at + 1
    while words[start] in _UNION_FILLERS:
        start += 1
    if words[start] not in ("SELECT", "VALUES") or not ({"FROM", "WHERE", "VALUES", "SET"} & set(words[:at])):
        return False
    start += 1
    end = depth = constants = 0
    columns, alone = 1, True
    for end in range(start, min(start + 2048, len(words))):
        word = words[end]
        if not word or (not depth and word in _LIST_ENDS):
            break
        depth += (word == "(") - (word == ")")
        if not depth and word == ",":
            columns, alone = columns + 1, True
        elif alone and word not in ("ALL", "DISTINCT", "-"):
            constants += word in LITERALS and words[end + 1] in _CONSTANT_ENDS
            alone = False
    if constants * 2 >= columns or words[end] != "FROM":
        return True
    return any(_SIGN_OF_WORD.get(word) in ("catalogue", "version-probe") for word in words[start : end + 8])


def _stacked(shape: Shape, at: int) -> bool:
    words = shape.words
    while words[at] == ";":
        at += 1
    first = next((number for number, word in enumerate(words) if word not in ("(", "/*!")), 0)
    if not words[at] or words[first] not in _VERBS or words[at : at + 3] == words[first : first + 3]:
        return False
    return words[at] != "SELECT" or not any(word in _LAST_ID for word in words[at : at + 16])


def _conditional(shape: Shape, at: int) -> bool:
    """Whether what follows WHEN or IF( is decided beforehand, or asks a sub-select letter by letter."""
    left = shape.literal(at + 1)
    operator = shape.comparing(left) if left else 0
    return bool(operator and shape.literal(operator))


def _asks(shape: Shape, at: int) -> bool:
    """``AND 7=(SELECT``: a constant compared with a sub-select."""
    words = shape.words
    left = shape.literal(at + 1)
    operator = shape.comparing(left) if left else 0
    if not operator or words[left] not in ("=", "<", ">", "LIKE"):
        return False
    while words[operator] == "(":
        operator += 1
    return words[operator] == "SELECT" and words[operator - 1] == "("


def _letters(shape: Shape, at: int) -> bool:
    """``ASCII(SUBSTRING((SELECT …``: reading a value letter by letter."""
    words = shape.words
    if words[at + 1] != "(" or words[min(at + 2, len(words) - 1)] not in _PARTS:
        return False
    inner = words[at + 4 : at + 5]
    return bool(inner) and (inner[0] == "(" or inner[0] in _SIGN_OF_CALL or inner[0] in _WRAPS)


def _error(shape: Shape, at: int) -> bool:
    """Functions that are called to fail with the answer in their message."""
    words = shape.words
    word, first = words[at], words[at + 2 : at + 4]
    if word in ("FLOOR", "EXP"):
        return first[:1] == ["RAND"] or first[:1] == ["~"]
    if word == "CONVERT":
        return first[:1] == ["INT"] and words[at + 4 : at + 5] in (
            ["("],
            ["CHAR"],
            ["DB_NAME"],
            ["@@VERSION"],
            ["USER"],
        )
    if word == "CAST":
        inside = words[at + 2 : at + 256]
        end = next((number for number, one in enumerate(inside) if one == "AS"), 0)
        return "SELECT" in inside[:end] and inside[end + 1] in _NUMBER_TYPES and inside[0] in ("(", "CHR", "CHAR", "'")
    return first == ["(", "SELECT"]


def _encoded_number(shape: Shape, at: int) -> bool:
    raw = shape.raw(at)
    if raw[:2] not in ("0x", "0X") or len(raw) % 2 or not _printable(raw[2:]):
        return False
    return len(raw) >= 10 or (
        shape.words[at - 1] in ("(", ",")
        and shape.words[at + 1] in (",", ")")
        and "CONCAT" in "".join(shape.words[max(0, at - 24) : at])
    )


def _printable(digits: str) -> bool:
    try:
        return all(32 <= code < 127 for code in bytes.fromhex(digits)) and bool(digits)
    except ValueError:
        return False


def _encoded_call(shape: Shape, at: int) -> bool:
    """``CHAR(83,69,76)`` and ``CHR(83)||CHR(69)``."""
    words = shape.words
    if words[at + 1 : at + 3] != ["(", "0"]:
        return False
    after = words[at + 3 : at + 8]
    if after[:2] == [",", "0"]:
        return True
    return after[:1] == [")"] and any(word in ("CHR", "CHAR", "NCHAR") for word in after[1:]) and after[1:2] != [","]


def _call(shape: Shape, at: int, found: set[str]) -> None:
    words, word = shape.words, shape.words[at]
    sign = _SIGN_OF_CALL.get(word)
    if word == "RANDOMBLOB":
        sign = sign if len(shape.raw(at + 2)) >= 6 else None
    elif sign == "version-probe":
        sign = sign if words[at + 2] == ")" else None
    elif word in ("EXTRACTVALUE", "UPDATEXML"):
        sign = sign if words[at + 2] in LITERALS else None
    elif word in ("JSON_KEYS", "XMLTYPE"):
        sign = sign if words[at + 2] in ("(", "CHR") else None
    elif word == "BENCHMARK":
        sign = sign if words[at + 2] in ("0", "(", "-") else None
    elif word in ("ELT", "MAKE_SET"):
        sign = sign if shape.literal(at + 2) or words[at + 2] == "(" else None
    if sign:
        found.add(sign)
    if word in _FAILING and _error(shape, at):
        found.add("error-based")
    elif (word in ("IF", "IIF") and _conditional(shape, at + 1)) or (word in _CODES and _letters(shape, at)):
        found.add("conditional")
    elif word in ("CHAR", "CHR", "NCHAR") and _encoded_call(shape, at):
        found.add("encoded-string")


def _word(shape: Shape, at: int, found: set[str]) -> None:
    words, word = shape.words, shape.words[at]
    sign = _SIGN_OF_WORD.get(word)
    if sign and (word != "ANALYSE" or words[at - 1] == "PROCEDURE"):
        found.add(sign)
    following = words[at + 1]
    if following == "(":
        _call(shape, at, found)
    if word in _CONNECTIVES:
        if _tautology(shape, at):
            found.add("tautology")
        if _asks(shape, at):
            found.add("conditional")
    elif word == "WHEN" and _conditional(shape, at):
        found.add("conditional")
    elif word == "UNION" and "union-appended" not in found and _union(shape, at):
        found.add("union-appended")
    elif (
        (word in ("FROM", "TO") and following == "'" and words[0] in ("COPY", "BULK"))
        or (word == "LOAD" and following in ("DATA", "XML"))
        or (word == "ATTACH" and (following == "'" or words[at + 1 : at + 3] == ["DATABASE", "'"]))
    ):
        found.add("file-access")
    elif word in ("PROGRAM", "SONAME") and following == "'":
        found.add("program")
    if word in _KEYWORDS and _ODD_CASE.search(shape.raw(at)):
        found.add("odd-spacing")


def _mangled(shape: Shape, at: int) -> bool:
    """Whether the string at ``at`` goes straight on as a word: somebody's quote ended it."""
    if at + 1 >= len(shape.tokens) or shape.words[at + 1] in _AFTER_STRING:
        return False
    kind, start, _ = shape.tokens[at + 1]
    return kind == spec.WORD and start == shape.tokens[at][2]


def signs_of(text: str, dialect: str, tokens: Iterable[Token], *, cut: bool = False) -> tuple[str, ...]:
    """The signs of ``text``, in the order of ``names.SIGNS``. Linear.

    Args:
        text: The raw text, as it was scanned.
        dialect: One of ``spec.DIALECTS``.
        tokens: Its tokens.
        cut: Whether the text was longer than what is scanned or sent.
    """
    shape, found = Shape(text, dialect, list(tokens)), set[str]()
    if cut:
        found.add("cut")
    for at, (kind, start, _) in enumerate(shape.tokens):
        if kind == spec.WORD:
            _word(shape, at, found)
        elif kind == spec.UNENDED or (kind == spec.STRING and _mangled(shape, at)):
            found.add("unbalanced-quote")
        elif kind == spec.STRING:
            if text[start] in "xX" and len(shape.raw(at)) >= 11 and _printable(shape.raw(at)[2:-1]):
                found.add("encoded-string")
        elif kind == spec.NUMBER:
            if _encoded_number(shape, at):
                found.add("encoded-string")
        elif kind == spec.EXEC_OPEN:
            found.add("executable-comment")
        elif kind == spec.OP and shape.words[at] == ";" and _stacked(shape, at):
            found.add("stacked")
        elif (
            kind == spec.OP
            and dialect == "mysql"
            and shape.words[at - 1 : at + 1] == ["|", "|"]
            and _tautology(shape, at)
        ):
            found.add("tautology")
    if shape.comments:
        _comments(shape, found)
    if _ODD_BLANK.search(text) and _odd_blanks(shape):
        found.add("odd-spacing")
    if found == {"version-probe"} and len(shape.words) < 14:
        return ()  # what drivers ask when they connect
    return tuple(sorted(found, key=_ORDER.__getitem__))


def _odd_blanks(shape: Shape) -> bool:
    ends = 0
    for _, start, end in shape.tokens:
        if _ODD_BLANK.search(shape.text, ends, start):
            return True
        ends = end
    return bool(_ODD_BLANK.search(shape.text, ends))
