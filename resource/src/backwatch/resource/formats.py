"""Formats of stored values that run code while they are read."""

import importlib.util
import pickletools
from _compat_pickle import IMPORT_MAPPING
from functools import lru_cache
from typing import Final

from backwatch.resource.opening import Attachment

JAVA_HEAD: Final = b"\xac\xed\x00\x05"
IMPORTS: Final = frozenset({"GLOBAL", "INST"})
"""Opcodes of a pickle that hold the name of what they import; ``STACK_GLOBAL`` takes it from the stack."""
CALLS: Final = frozenset({"INST", "OBJ", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD"})
MAX_OPCODES: Final = 2_000
MAX_TEXT_BYTES: Final = 4_096
_FIRST_BYTES: Final = frozenset(b"\xac\x80c(i)]}NISVL")
"""Of Java's objects, of binary pickles, and of those in text that something imports."""


def find_code_format(value: bytes) -> str:
    """Return ``pickle`` or ``java`` if reading a value in that format could run code; otherwise nothing.

    A pickle of plain data (numbers, texts, lists) is none of these.

    >>> import pickle, datetime
    >>> find_code_format(pickle.dumps([1, "two"])), find_code_format(pickle.dumps(datetime.date(2026, 1, 1)))
    ('', 'pickle')
    """
    if not value or value[0] not in _FIRST_BYTES:
        return ""
    if value.startswith(JAVA_HEAD):
        return "java"
    binary = value[0] == 0x80
    if not binary and b"\n" not in value[:MAX_TEXT_BYTES]:
        return ""
    return "pickle" if _imports(value if binary else value[:MAX_TEXT_BYTES], binary=binary) else ""


def _imports(value: bytes, *, binary: bool) -> bool:
    """Return whether a pickle imports something. What follows the import cannot undo it.

    A text can look like a pickle by chance. It counts if what it imports exists and is called.
    """
    texts = named = 0
    try:
        for at, (opcode, argument, _) in enumerate(pickletools.genops(value)):
            texts += isinstance(argument, (str, bytes))
            if opcode.name in IMPORTS and (binary or _exists(str(argument).partition(" ")[0])):
                named += 1
            if opcode.name == "STACK_GLOBAL" and texts:
                named += 1
            if named and (binary or opcode.name in CALLS):
                return True
            if at >= MAX_OPCODES:
                return binary
    except (ValueError, OverflowError):
        return False
    return False


@lru_cache(maxsize=256)
def _exists(module: str) -> bool:
    """Return whether a module's package can be imported, without importing it. Old pickles name those of Python 2."""
    try:
        return importlib.util.find_spec(IMPORT_MAPPING.get(module, module).partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def check_value(attachment: Attachment, value: bytes, what: str = "a stored value") -> None:
    """Refuse a value whose format runs code, unless ``formats`` lists it."""
    found = find_code_format(value)
    if found and found not in attachment.policy.texts("formats"):
        refuse_format(attachment, f"{what} is a {found} object that runs code while it is read", found)


def refuse_format(attachment: Attachment, seen: str, name: str) -> None:
    """Refuse a format."""
    attachment.refuse(
        "formats", seen, f"Store JSON; if this service is trusted to hold it, add {name} to formats"
    )  # fmt: skip
