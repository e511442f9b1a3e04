"""What an answer showed that honest ones do not: words of a fixed list, never a piece of it.

Nothing here runs where a call goes well and its answer is plain; the work is bounded and linear, and no input makes
it raise.
"""

import re
from typing import Final

from backwatch.collector import names
from backwatch.collector.record import AttributeValue

Facts = tuple[tuple[str, AttributeValue], ...]

MAX_PARTS: Final = 4
"""Arguments of an exception that are looked at, and ``MAX_TEXT`` characters of each."""
MAX_TEXT: Final = 4_096
_IN_TEXT: Final = (
    ("terminal-escape", re.compile(r"\x1b")),
    ("hidden-text", re.compile(r"[\u202a-\u202e\u2066-\u2069]")),
    ("control-character", re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]|\r(?!\n|\Z)")),
)
"""A lone carriage return goes back to the line's beginning, and what follows stands in its place."""


def with_error(facts: Facts, error: BaseException) -> Facts:
    """A call's facts, and what the text of its error showed: a driver puts into it what the service said.

    >>> with_error((), ConnectionError("OK\\x1b[2K"))
    (('backwatch.answer.signs', 'terminal-escape'),)
    """
    found: list[str] = []
    arguments: tuple[object, ...] = _arguments(error)  # a class may have made something of its own of ``args``
    for part in arguments[:MAX_PARTS]:
        if isinstance(part, bytes):
            text = part[:MAX_TEXT].decode("utf-8", "replace")
        elif isinstance(part, str):
            text = part[:MAX_TEXT]
        else:
            continue
        if not text.isprintable():
            found += (word for word, pattern in _IN_TEXT if pattern.search(text))
    return with_signs(facts, found) if found else facts


_arguments: Final = BaseException.__dict__["args"].__get__


def with_signs(facts: Facts, found: "list[str]") -> Facts:
    """A call's facts, and these signs together with those that are there."""
    rest = tuple(fact for fact in facts if fact[0] != names.ANSWER_SIGNS)
    known = {word for name, value in facts if name == names.ANSWER_SIGNS for word in str(value).split(",")}
    known.update(found)
    return (*rest, (names.ANSWER_SIGNS, ",".join(word for word in names.ANSWER_WORDS if word in known)))
