"""Signs of injection in Redis commands: commands behind a line break, and scripts that reach out of the sandbox."""

import re
from typing import Final

MAX_TEXT: Final = 8_192

_BREAK: Final = re.compile(
    r"(?:\r\n|\\r\\n|%0d%0a|\n)\s*+(?:[*$][0-9]{1,6}(?:\r\n|\\r\\n|%0d%0a)|(?:SET|GET|DEL|EVAL|CONFIG|FLUSHALL|FLUSHDB|SLAVEOF"
    r"|REPLICAOF|MODULE|KEYS|SAVE|BGSAVE|AUTH|RPUSH|LPUSH|SADD|HSET|QUIT|INFO|PUBLISH|SCRIPT|SHUTDOWN|MIGRATE)(?:\s|\\r|%0d|$))",
    re.IGNORECASE,
)
_SANDBOX: Final = re.compile(
    r"\b(?:os\.execute|io\.popen|io\.open|package\.loadlib|loadstring|dofile|debug\.\w|getmetatable|setmetatable|newproxy|string\.dump)\b"
    r"|redis\.p?call\(\s*+['\"](?:config|flushall|flushdb|slaveof|replicaof|module|shutdown|acl|script|debug|migrate|save|bgsave|keys)\b",
    re.IGNORECASE,
)
_PLANTED: Final = re.compile(r"ssh-(?:rsa|ed25519) AAAA|(?:\*(?:/\d+)?\s+){4}\*\s|<\?php|/dev/tcp/|\bbash\s+-i\b")
_SCRIPTS: Final = frozenset(("EVAL", "EVAL_RO", "SCRIPT", "FUNCTION"))


def signs_of_text(text: str) -> tuple[str, ...]:
    r"""Return the signs of a command's text.

    >>> signs_of_text("SET user:1 ann"), signs_of_text("GET a\r\nCONFIG SET dir /var/www")
    ((), ('stacked',))
    >>> signs_of_text("EVAL \"return redis.call('get', KEYS[1])\" 1 a"), signs_of_text("EVAL \"os.execute('id')\" 0")
    ((), ('program',))
    """
    text = text[:MAX_TEXT]
    found: set[str] = set()
    verb = text[:40].split(maxsplit=1)[:1]
    is_script = bool(verb) and verb[0].upper() in _SCRIPTS
    if not is_script and _BREAK.search(text):
        found.add("stacked")
    if (is_script and _SANDBOX.search(text)) or _PLANTED.search(text):
        found.add("program")
    return tuple(sorted(found))
