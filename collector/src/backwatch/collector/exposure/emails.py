"""E-mail addresses, as a whole value and in a text."""

import re
from typing import Final

from backwatch.collector.statements.spec import split_words

MAX_LOCAL: Final = 64
_MAX_URL: Final = 256
_ADDRESS: Final = re.compile(
    r"(?<![\w.+/@%#$*^`~-])[\w.+'-]{1,64}@((?:[\w](?:[\w-]{0,61}[\w])?\.){1,8}[^\W\d_][\w-]{1,23})"
    r"(?![\w@:/-]|\.\w)"
)
_VERSION: Final = re.compile(r"v?\d+\.[\d.]*[a-z]*")
_NO_DOMAIN: Final = split_words(
    """
    local localhost localdomain lan internal intranet corp home invalid onion arpa service socket timer target mount
    device slice scope path swap png jpg jpeg gif svg webp avif ico bmp tiff pdf js mjs cjs jsx tsx css scss less
    map json xml yml yaml toml html htm php exe dll so jar war class apk zip tar gz tgz whl log txt csv git
    dev-local
    """
)
"""Last parts of names that are no domains: units of systemd, files, internal names."""
_IDS: Final = re.compile(r"[0-9a-fA-F.-]{24,}|[\w.+=-]{40,}")
"""Local parts of message ids, which no address has."""


def contains_email(text: str) -> bool:
    """Return whether a text contains an address.

    >>> contains_email("Zoë <zoe.mueller@example.com>"), contains_email("me@localhost"), contains_email("@a.b")
    (True, False, False)
    """
    at = text.find("@")
    while at > 0:
        found = _ADDRESS.search(text, max(0, at - MAX_LOCAL - 1), min(len(text), at + 256))
        if found is not None and _is_address(found):
            return True
        at = text.find("@", at + 1)
    return False


def _is_address(found: "re.Match[str]") -> bool:
    local, _, domain = found[0].partition("@")
    if domain.rpartition(".")[2].lower() in _NO_DOMAIN or _VERSION.fullmatch(domain) or _IDS.fullmatch(local):
        return False
    if local[0] in ".'-" or local[-1] == "." or ".." in local or local == "git":
        return False
    before = found.string[max(0, found.start() - _MAX_URL) : found.start()]
    return not before.endswith(":") or "//" not in before.rpartition(" ")[2]  # the password in a URL
