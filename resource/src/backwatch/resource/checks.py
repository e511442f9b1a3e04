"""The table of checks: every setting of a policy, its default, and the attack that the default stops."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

TRUE: Final = frozenset({"1", "true", "yes", "on"})
FALSE: Final = frozenset({"0", "false", "no", "off"})
MAX_LIST_ENTRIES: Final = 100
MEBIBYTE: Final = 1 << 20

Value = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One setting.

    Attributes:
        name: As in the file, in lower case.
        default: Value where nothing sets it.
        read: Converts the text of a variable or of a URL.
        stops: What the default protects from; codes of the attack catalogue in brackets.
        choices: Allowed values; empty: any.
        is_ordered: Whether the choices stand from the strictest to the laxest.
        unit: ``s``, ``bytes``, ``rows`` or empty.
    """

    name: str
    default: Value
    read: Callable[[str], Value]
    stops: str
    choices: tuple[str, ...] = ()
    is_ordered: bool = False
    unit: str = ""

    def take(self, value: object) -> Value:
        """Return a value from a file, a variable or a URL in this setting's type.

        Raises:
            ValueError: It has another type, or is not allowed.
        """
        if isinstance(value, str):
            taken = self.read(value)
        elif isinstance(self.default, tuple) and isinstance(value, (list, tuple)):
            taken = self.read(",".join(str(each) for each in value))
        elif type(value) is type(self.default) or (isinstance(self.default, float) and type(value) is int):
            taken = self.read(str(value))
        else:
            raise ValueError(f"must be of type {_describe(self.default)}")
        if self.choices and taken not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        return taken

    def is_laxer(self, value: Value, reviewed: Value) -> bool:
        """Return whether a value is, or may be, laxer than another one."""
        if self.is_ordered:
            return self.choices.index(str(value)) > self.choices.index(str(reviewed))
        if isinstance(value, (int, float)) and isinstance(reviewed, (int, float)) and not isinstance(value, bool):
            return value > reviewed
        return value != reviewed


def _describe(value: Value) -> str:
    return {bool: "true or false", int: "number", float: "number", str: "text", tuple: "list of texts"}[type(value)]


def read_flag(text: str) -> bool:
    """Read yes or no.

    Raises:
        ValueError: It is neither.
    """
    if (lowered := text.strip().lower()) in TRUE:
        return True
    if lowered in FALSE:
        return False
    raise ValueError("must be true or false")


def read_seconds(text: str) -> float:
    """Read a time above 0, at most a day."""
    seconds = float(text)
    if not 0 < seconds <= 86_400:
        raise ValueError("must be a number of seconds above 0, at most 86400")
    return seconds


def read_count(text: str) -> int:
    """Read a whole number from 1."""
    count = int(text)
    if not 1 <= count <= 1 << 40:
        raise ValueError("must be a whole number of at least 1")
    return count


def read_list(text: str) -> tuple[str, ...]:
    """Read texts that are separated by commas."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if len(found) > MAX_LIST_ENTRIES:
        raise ValueError(f"has {len(found)} entries, at most {MAX_LIST_ENTRIES} are allowed")
    return found


def read_pins(text: str) -> tuple[str, ...]:
    """Read SHA-256 fingerprints of certificates, with or without colons."""
    pins = tuple(pin.lower().replace(":", "").removeprefix("sha256/") for pin in read_list(text))
    for pin in pins:
        if len(pin) != 64 or not set(pin) <= set("0123456789abcdef"):
            raise ValueError("must be SHA-256 fingerprints, 64 hexadecimal digits each")
    return pins


def read_word(text: str) -> str:
    """Read a word in lower case."""
    return text.strip().lower()


ENFORCE: Final = "enforce"
WARN: Final = "warn"
OBSERVE: Final = "observe"

CHECKS: Final[Mapping[str, Check]] = {
    check.name: check
    for check in (
        Check(
            name="mode", default=ENFORCE, read=read_word,
            choices=(ENFORCE, WARN, OBSERVE), is_ordered=True,
            stops="enforce refuses, warn logs, observe only collects findings",
        ),
        Check(
            name="driver", default="", read=read_word,
            stops="nothing; names the client library where several are installed",
        ),
        Check(
            name="tls", default="verify-full", read=read_word,
            choices=("verify-full", "verify-ca", "require", "off"), is_ordered=True,
            stops="plaintext, stripped TLS, unverified and swapped certificates (A1 to A8, A11 to A13)",
        ),
        Check(
            name="tls_on_loopback", default="optional", read=read_word,
            choices=("required", "optional"), is_ordered=True,
            stops="nothing on one's own machine; required treats loopback and Unix sockets like any network",
        ),
        Check(
            name="tls_min", default="1.2", read=read_word,
            choices=("1.3", "1.2"), is_ordered=True,
            stops="old protocol versions and downgrades (A8)",
        ),
        Check(
            name="ca", default="system", read=str.strip,
            stops="certificates of foreign authorities (A6); a file narrows it to one's own authority",
        ),
        Check(
            name="pin", default=(), read=read_pins,
            stops="another valid certificate than these (A6, A13)",
        ),
        Check(
            name="min_version", default="", read=str.strip,
            stops="servers with known holes, and older ones in the right one's place (A10, A14)",
        ),
        Check(
            name="auth", default="no-clear-text", read=read_word,
            choices=("strong", "no-clear-text", "any"), is_ordered=True,
            stops="passwords in clear, weak hashes and skipped logins (B1 to B8)",
        ),
        Check(
            name="hosts", default=(), read=read_list,
            stops="redirects and topologies to foreign hosts, a changed config variable (C1 to C13, B9)",
        ),
        Check(
            name="addresses", default="auto", read=read_word, choices=("auto", "any", "public", "private"),
            stops="names that resolve to metadata, link-local or private addresses (A9, C12, G11)",
        ),
        Check(
            name="connect_timeout_s", default=10.0, read=read_seconds, unit="s",
            stops="servers that accept and are silent (E1)",
        ),
        Check(
            name="read_timeout_s", default=30.0, read=read_seconds, unit="s",
            stops="tarpits and answers that never end (E1)",
        ),
        Check(
            name="statement_timeout_s", default=30.0, read=read_seconds, unit="s",
            stops="statements that never end, and replies in drips (F10, E1)",
        ),
        Check(
            name="max_reply_bytes", default=64 * MEBIBYTE, read=read_count, unit="bytes",
            stops="result floods and decompression bombs (E2, E3)",
        ),
        Check(
            name="match_replies", default=True, read=read_flag,
            stops="answers to another request, and so another user's data (D7)",
        ),
        Check(
            name="max_rows", default=100_000, read=read_count, unit="rows",
            stops="result floods (E3)",
        ),
        Check(
            name="read_only", default=False, read=read_flag,
            stops="nothing unless declared; then any write through this resource (F8)",
        ),
        Check(
            name="local_infile", default=False, read=read_flag,
            stops="a server that reads the app's files (D1)",
        ),
        Check(
            name="formats", default=("json", "text", "raw"), read=read_list,
            stops="pickles and other formats that run code while they are read (D3, D4)",
        ),
    )
}  # fmt: skip
"""By name, in the order of the documentation."""
