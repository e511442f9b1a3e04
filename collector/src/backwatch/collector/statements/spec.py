"""The one lexical spec of SQL, as data: dialects, byte classes, keywords, spacing and limits.

``tokens.py`` generates its regular expressions from it and ``writer.py`` its rules; the detector generates its Numba
tables from it (``detector/statements/fingerprint.py``). Change a rule here and in neither of them; a property test
holds both to the same bytes. Where a dialect is in doubt, more text is taken for code: a comment shown is a nuisance, a
``UNION`` taken for a comment is an evasion.
"""

from dataclasses import dataclass
from typing import Final

VERSION: Final = 3
"""Version of the canonical form. After a change known statements are computed again and raise no novelties."""

SCAN_BYTES: Final = 65_536
SCAN_HEAD_BYTES: Final = 49_152
"""Scanned bytes of a longer text's head; the rest of ``SCAN_BYTES`` comes from its tail."""
SENT_BYTES: Final = 8_192
SENT_HEAD_BYTES: Final = 6_144
SENT_TAIL_BYTES: Final = 2_040
"""Head, mark and tail together are shorter than ``SENT_BYTES``, so that a cut text is not cut again."""
TOKEN_BYTES: Final = 256
"""Longest identifier (SQL Server: 128 characters); a longer one is hidden like a literal."""
NESTING: Final = 64
"""Maximum nesting of brackets in which lists are folded."""
MARK: Final = "…"
"""Marks a cut; a separate word in every dialect."""

# Kinds of tokens.
STRING, QUOTED, EXEC_OPEN, EXEC_CLOSE, COMMENT, CURLY, WORD, NUMBER, PARAM, OPEN, UNENDED, OP, END = range(1, 14)
KINDS: Final = (
    "", "string", "quoted", "exec-open", "exec-close", "comment", "curly", "word", "number", "param", "open",
    "unended", "op", "end",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The lexical rules of one family of systems; booleans, so that they fit a table of numbers.

    Attributes:
        backslash: A quote after a backslash does not end a string.
        double_string: ``"…"`` is a string; elsewhere it is a name (or, misused, a string: see ``writer.py``).
        backtick: `` `…` `` is a name.
        bracket: ``[…]`` is a name; ``bracket_doubled``: ``]]`` stands for ``]`` in it.
        hash_comment: ``#`` comments until the line's end; ``hash_word``: ``#t`` and ``##t`` are names.
        dash_blank: ``--`` comments only where a blank follows; elsewhere it is two minus signs.
        return_ends: a carriage return ends a line comment too.
        nested: block comments nest.
        executable: ``/*! … */`` is code.
        dollar_quoted: ``$tag$ … $tag$`` is a string, ``E'…'`` one with backslashes.
        alternative_quoted: ``q'[ … ]'`` is a string.
        dollar_number: ``$1`` is a parameter (or money); ``dollar_name``: so is ``$name``.
        colon_name: ``:name`` is a parameter; ``at_name``: so is ``@name``; ``at_at``: ``@@name`` is a word.
        percent_name: ``%s`` and ``%(name)s`` are parameters.
        wide_blank: U+00A0 and U+3000 are blanks.

    """

    backslash: bool = False
    double_string: bool = False
    backtick: bool = False
    bracket: bool = False
    bracket_doubled: bool = False
    hash_comment: bool = False
    hash_word: bool = False
    dash_blank: bool = False
    return_ends: bool = False
    nested: bool = False
    executable: bool = False
    dollar_quoted: bool = False
    alternative_quoted: bool = False
    dollar_number: bool = False
    dollar_name: bool = False
    colon_name: bool = False
    at_name: bool = False
    at_at: bool = False
    percent_name: bool = False
    wide_blank: bool = False


DIALECTS: Final = {
    "postgresql": Dialect(return_ends=True, nested=True, dollar_quoted=True, dollar_number=True, percent_name=True),
    "mysql": Dialect(
        backslash=True, double_string=True, backtick=True, hash_comment=True, dash_blank=True, executable=True,
        colon_name=True, at_name=True, at_at=True, percent_name=True, wide_blank=True,
    ),
    "sqlite": Dialect(backtick=True, bracket=True, dollar_number=True, dollar_name=True, colon_name=True, at_name=True),
    "mssql": Dialect(
        bracket=True, bracket_doubled=True, hash_word=True, return_ends=True, nested=True, dollar_number=True,
        colon_name=True, at_name=True, at_at=True, percent_name=True, wide_blank=True,
    ),
    "other": Dialect(
        backtick=True, return_ends=True, executable=True, alternative_quoted=True, dollar_number=True, colon_name=True,
        at_name=True, at_at=True, percent_name=True, wide_blank=True,
    ),
}  # fmt: skip
"""In the order of the detector's numbers; ``other`` is standard SQL with common extensions."""

NUMBER_OF: Final = {name: number for number, name in enumerate(DIALECTS)}

# Classes of emitted tokens, for spacing and folding.
C_WORD, C_QUOTED, C_VALUE, C_LEFT, C_RIGHT, C_COMMA, C_DOT, C_SEMICOLON, C_CAST, C_OP, C_LEFT_SQUARE, C_RIGHT_SQUARE = (
    range(12)
)
CLASS_OF_OP: Final = {
    "(": C_LEFT, ")": C_RIGHT, ",": C_COMMA, ".": C_DOT, ";": C_SEMICOLON, "[": C_LEFT_SQUARE, "]": C_RIGHT_SQUARE,
}  # fmt: skip
"""Every other single character is a ``C_OP``; ``::`` is a ``C_CAST``."""

_NAMES = {C_WORD, C_QUOTED}
_TIGHT = {
    (before, after)
    for before in range(12)
    for after in range(12)
    if before == C_LEFT or after in (C_RIGHT, C_COMMA, C_SEMICOLON)
    or (after == C_DOT and before in (_NAMES | {C_VALUE, C_RIGHT, C_RIGHT_SQUARE}))
    or (before == C_DOT and after in (_NAMES | {C_VALUE, C_OP}))
    or (after == C_CAST and before in (_NAMES | {C_VALUE, C_RIGHT, C_RIGHT_SQUARE}))
    or (before == C_CAST and after in _NAMES)
    or (before in _NAMES and after in (C_LEFT, C_LEFT_SQUARE))
    or (before == C_LEFT_SQUARE and after != C_LEFT_SQUARE)
    or (after == C_RIGHT_SQUARE and before not in (C_OP, C_QUOTED))
}  # fmt: skip
SPACED: Final = tuple(tuple((before, after) not in _TIGHT for after in range(12)) for before in range(12))
"""True if a blank separates two neighbours. No pair without a blank may read as another token."""
GLUED: Final = frozenset(
    {"<=", ">=", "<>", "!=", "==", "||", "&&", "->", ">>", "<<", "<-", "@>", "<@", ":=", "=>", "!~", "~*"}
)
"""Operators of more than one character: written without blanks, however they were spaced."""

# Meanings of keywords in the rules of the canonical form: a set of bits.
(
    LIST,
    SIGNED,
    LITERAL,
    VALUE_AFTER,
    ADMIN,
    ADMIN_FIRST,
    SECRET,
    SECRET_REST,
    SECRET_KEY,
    KEYED,
    BOUNDARY,
    RESET,
    ARRAY,
    NAME_AFTER,
    SETS,
    RUNS,
    ALTERS,
    ASSIGNS,
    FIXED,
    VERB,
) = (1 << bit for bit in range(20))
REMEMBERED: Final = (1 << 14) - 1
"""The meanings that rules read from an earlier word."""
_MEANINGS: Final = {
    # A bracket after it contains a list, whose literals are folded into one.
    LIST: "IN VALUES VALUE ANY ALL SOME",
    ARRAY: "ARRAY",
    # A minus after it is a sign, not a subtraction.
    SIGNED: "SELECT WHERE AND OR NOT LIMIT OFFSET BETWEEN THEN ELSE WHEN RETURN RETURNING IN LIKE VALUES SET BY CASE "
    "ON HAVING INTERVAL DEFAULT DISTINCT ALL TOP IS FETCH FIRST NEXT XOR DIV MOD TO AS FROM IF WHILE UNTIL PRINT",
    # Count as values in lists.
    LITERAL: "NULL TRUE FALSE DEFAULT",
    # A double-quoted text after it is a value if the system reads such texts as strings.
    VALUE_AFTER: "LIKE ILIKE GLOB REGEXP RLIKE MATCH BETWEEN ESCAPE THEN ELSE",
    # Statements about accounts and servers: only in these the words below hide the following text.
    ADMIN: "CREATE ALTER GRANT ATTACH PRAGMA CHANGE EXEC EXECUTE OPEN BACKUP RESTORE UNLOAD",
    ADMIN_FIRST: "SET CONNECT COPY START",
    # Hides until a comma, a closing bracket or one of the boundary words.
    SECRET: "PASSWORD PASSWD PWD PASSPHRASE CONNECTION OPTIONS SECRET CREDENTIALS CREDENTIAL ENCRYPTION "
    "MASTER_PASSWORD SOURCE_PASSWORD AWS_SECRET_KEY AWS_KEY_ID AWS_TOKEN SECRET_ACCESS_KEY ACCESS_KEY_ID SECRET_KEY "
    "SESSION_TOKEN AWS_SECRET_ACCESS_KEY AWS_ACCESS_KEY_ID PRIVATE_KEY API_KEY SAS_TOKEN TOKEN",
    # Hides the rest of the statement.
    SECRET_REST: "IDENTIFIED SP_ADDLOGIN SP_PASSWORD SP_ADDLINKEDSRVLOGIN SP_SETAPPROLE SP_ADDAPPROLE CONNECT",
    # Like SECRET, in the statements that open an encrypted file.
    SECRET_KEY: "KEY REKEY HEXKEY HEXREKEY TEXTKEY TEXTREKEY",
    KEYED: "ATTACH PRAGMA",
    BOUNDARY: "FROM WHERE AND OR SELECT UNION JOIN ON REQUIRE VALID ACCOUNT PUBLICATION VALUES",
    RESET: MARK,
    # A double-quoted text after it is always a name.
    NAME_AFTER: "FROM JOIN INTO UPDATE TABLE AS",
    # At a statement's beginning (SET also behind ALTER): a value that is a word may be an unquoted secret.
    SETS: "SET",
    RUNS: "EXECUTE",
    ALTERS: "ALTER",
    # Separates a setting's name from its value, as ``=`` does.
    ASSIGNS: "TO",
    # Reported among the values of settings.
    FIXED: "ON OFF LOCAL GLOBAL SESSION PERSIST YES NO AUTO NONE PUBLIC REPLICA ORIGIN NOTICE WARNING ERROR UTF8 "
    "UTF8MB4 UTC ISO MDY DMY YMD",
    # No value, even if one is due: the following text is reported, because it may have been injected.
    VERB: "SELECT UNION WITH VALUES INSERT UPDATE DELETE MERGE CREATE ALTER DROP TRUNCATE GRANT REVOKE EXEC EXECUTE "
    "CALL DECLARE BEGIN IF WHILE",
}


# States of the writer: what it hides, or waits for before it hides.
CUT_BOUNDED, CUT_WHOLE, SET_NAME, SET_VALUE, RUN_NAME, RUN_VALUES, ALTERED = range(1, 8)
SETTING_NAMES: Final = 3
"""``SET CLUSTER SETTING name``: a text with more words before its ``=`` is no setting."""
DOUBTFUL: Final = frozenset({"sqlite", "mssql", "other"})
"""Dialects that may read a double-quoted text as a string: with a blank in it, it is hidden in most places."""


def split_words(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


def _keywords() -> dict[str, int]:
    flags: dict[str, int] = {}
    for flag, listed in _MEANINGS.items():
        for word in listed.split():
            flags[word] = flags.get(word, 0) | flag
    return flags


KEYWORDS: Final = _keywords()
"""Upper-case word → its meanings."""

_NAME_SYMBOLS: Final = "_$# -"
ODD_IN_NAME: Final = frozenset(code for code in range(128) if not (chr(code).isalnum() or chr(code) in _NAME_SYMBOLS))
"""ASCII codes that make a double-quoted text look like a value in any dialect."""
