"""Quoting of hostile names for each script language. A name that a language cannot hold safely is refused.

Every name comes from a server or from a span: both may be an attacker's. So no quoting may depend on a setting of the
server, and no character that a terminal or a client program interprets is written as it is.
"""

import json
import shlex
import unicodedata
from typing import Final

MAX_SHOWN: Final = 240
"""Characters of a text in a comment."""
_SPECIAL: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that end a line, reorder it, or command a terminal."""


class UnsafeName(ValueError):
    """A name that cannot be written in a script's language without a risk."""


def is_plain(text: str) -> bool:
    """Return whether no character of ``text`` ends a line, hides or reorders text, or commands a terminal."""
    return not any(unicodedata.category(letter) in _SPECIAL for letter in text)


def escape_line(text: str) -> str:
    """Return text as one line for a comment or a terminal: special characters escaped, and cut.

    >>> escape_line("SELECT 1\\n; DROP TABLE x")
    'SELECT 1\\\\n; DROP TABLE x'
    """
    cut = text[:MAX_SHOWN] + ("…" if len(text) > MAX_SHOWN else "")
    if is_plain(cut):
        return cut
    return "".join(letter if unicodedata.category(letter) not in _SPECIAL else ascii(letter)[1:-1] for letter in cut)


def quote_postgresql(name: str) -> str:
    """Return an identifier of PostgreSQL, quoted under any ``standard_conforming_strings``.

    >>> quote_postgresql('a"b'), quote_postgresql("a\\x1bb")
    ('"a""b"', 'U&"a\\\\001bb"')
    """
    if not name or "\0" in name or len(name.encode("utf-8", "surrogatepass")) > 255 or _has_surrogate(name):
        raise UnsafeName(name)
    if is_plain(name):
        return '"' + name.replace('"', '""') + '"'
    # U&"…" works only where standard_conforming_strings is on; elsewhere the server refuses it.
    escaped = "".join(
        '""' if letter == '"' else "\\\\" if letter == "\\" else letter if is_plain(letter) else _unicode(letter)
        for letter in name
    )
    return f'U&"{escaped}"'


def _unicode(letter: str) -> str:
    return f"\\{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\+{ord(letter):06x}"


def _has_surrogate(name: str) -> bool:
    return any(0xD800 <= ord(letter) < 0xE000 for letter in name)


def quote_mysql(name: str) -> str:
    """Return an identifier of MySQL and MariaDB, quoted under any ``sql_mode``.

    >>> quote_mysql("a`b"), quote_mysql('a"b')
    ('`a``b`', '`a"b`')
    """
    if not name or not is_plain(name) or name != name.rstrip() or max(name) > "\uffff":  # beyond, no name may be
        raise UnsafeName(name)
    return "`" + name.replace("`", "``") + "`"


def quote_mysql_pattern(name: str) -> str:
    r"""Return a database's name in ``GRANT … ON name.*``, where ``_`` and ``%`` would be wild cards.

    >>> print(quote_mysql_pattern("shop_a"))
    `shop\_a`
    """
    return quote_mysql(name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%"))


def quote_shell(text: str) -> str:
    """Return one argument of a POSIX shell; special characters are refused.

    >>> quote_shell("a'b")
    '\\'a\\'"\\'"\\'b\\''
    """
    if not is_plain(text):
        raise UnsafeName(text)
    return shlex.quote(text)


def quote_json(value: object) -> str:
    """Return a JSON value, in ASCII, which is also one of JavaScript's.

    >>> quote_json("a</script>\\u2028")
    '"a</script>\\\\u2028"'
    """
    return json.dumps(value, ensure_ascii=True, sort_keys=False)
