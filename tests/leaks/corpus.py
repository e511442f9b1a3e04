"""The corpus: texts that carry secrets, as apps send them, each with its canaries marked, and those canaries.

One file per family in ``corpus/``, one entry a line. ``⟦⟧`` marks a secret: every possible shape of canary is put there
in turn. ``⟦''⟧`` may be quoted, and so it also holds a quote as that place escapes it; ``⟦digits⟧``, ``⟦hex⟧`` and the
like have that shape alone. The authors of the texts had not read the redactor.
"""

import base64
import json
import random
import re
import string
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("corpus")
MARK: Final = re.compile("⟦([^⟧]*)⟧")
_SECTION: Final = re.compile(r"\[(\w+) (\w+)\] (.+)")
_NUMBER: Final = re.compile('"⟦int⟧"')


@dataclass(frozen=True, slots=True)
class Entry:
    """One text.

    Attributes:
        system: The system that receives it.
        way: Its kind: ``sql``, ``command``, ``url``, ``header``, ``error`` …
        text: The text with its marks.
        place: File and line.
    """

    system: str
    way: str
    text: str
    place: str

    def __str__(self) -> str:
        return f"{self.place}: {self.system} {self.way}: {self.text}"


@dataclass(frozen=True, slots=True)
class Canary:
    """One secret.

    Attributes:
        text: Its form in a statement.
        parts: The random parts: an address has a dot that carries no information, a quoted one has a quote.
    """

    text: str
    parts: tuple[str, ...]
    shape: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Planted:
    """An entry with canaries in it."""

    entry: Entry
    text: str
    canaries: tuple[Canary, ...]


def _letters(pick: random.Random) -> tuple[str, ...]:
    return ("".join(pick.choices(string.ascii_letters, k=22)),)


def _word(pick: random.Random) -> tuple[str, ...]:
    """Return small letters and digits, as in a password that is also a name."""
    rest = [*pick.choices(string.ascii_lowercase, k=10), *pick.choices(string.digits, k=6)]
    pick.shuffle(rest)
    return (pick.choice(string.ascii_lowercase) + "".join(rest),)


def _hex(pick: random.Random) -> tuple[str, ...]:
    return (f"{pick.getrandbits(128):032x}",)


def _base64(pick: random.Random) -> tuple[str, ...]:
    text = base64.b64encode(pick.randbytes(24)).decode()
    return tuple(re.split(r"([+/])", text))


def _local(pick: random.Random) -> tuple[str, ...]:
    """Return a mailbox at a mail server: the domain may be reported where mail is sent."""
    return tuple("".join(pick.choices(string.ascii_lowercase, k=9)) for _ in range(2))


def _digits(pick: random.Random) -> tuple[str, ...]:
    return (str(pick.randrange(10**15, 10**16)),)


def _mail(pick: random.Random) -> tuple[str, ...]:
    return tuple("".join(pick.choices(string.ascii_lowercase, k=9)) for _ in range(3))


def _uuid(pick: random.Random) -> tuple[str, ...]:
    return tuple(str(uuid.UUID(int=pick.getrandbits(128), version=4)).split("-"))


_SHAPES: Final[Mapping[str, Callable[[random.Random], tuple[str, ...]]]] = {
    "letters": _letters, "word": _word, "hex": _hex, "base64": _base64, "digits": _digits, "int": _digits,
    "mail": _mail, "uuid": _uuid, "local": _local,
}  # fmt: skip
_ANY: Final = ("letters", "word", "hex", "base64", "mail")
"""What may stand where the mark does not say."""
_QUOTES: Final = ("''", '""', "\\'")


def _join(shape: str, parts: tuple[str, ...]) -> str:
    if shape == "mail":
        return "{}.{}@{}.example".format(*parts)
    if shape in ("uuid", "local"):
        return {"uuid": "-", "local": "."}[shape].join(parts)
    if shape == "base64":
        return "".join(parts)
    return shape.join(parts) if shape in _QUOTES else parts[0]


def _canary(entry: Entry, shape: str, number: int, round_: str) -> Canary:
    """Return canaries that are the same in every run, and unique."""
    pick = random.Random(f"{entry.place} {entry.text} {shape} {number} {round_}")
    parts = (*_letters(pick), *_word(pick)) if shape in _QUOTES else _SHAPES[shape](pick)
    return Canary(_join(shape, parts), tuple(one for one in parts if len(one) > 5), shape, entry)


def plant(entry: Entry) -> Iterator[Planted]:
    """Return the entry with canaries: once for every shape that its marks leave open."""
    marks = MARK.findall(entry.text)
    free = list(_ANY) if "" in marks else []
    free += [mark for mark in _QUOTES if mark in marks]
    for shape in free or [""]:
        canaries: list[Canary] = []

        def put(found: re.Match[str], shape: str = shape, canaries: list[Canary] = canaries) -> str:
            mark = found[1]
            wanted = (shape if shape in (mark, *_ANY) else "letters") if mark in ("", *_QUOTES) else mark
            canaries.append(_canary(entry, wanted, len(canaries), shape))
            return canaries[-1].text

        text = MARK.sub(put, _NUMBER.sub("⟦int⟧", entry.text))
        yield Planted(entry, text.replace("\\n", "\n").replace("\\t", "\t"), tuple(canaries))


@cache
def entries() -> tuple[Entry, ...]:
    """Return all of them, in the order of files and lines."""
    found: list[Entry] = []
    for file in sorted(FOLDER.glob("*.txt")):
        system = way = ""
        for number, line in enumerate(file.read_text().splitlines(), 1):
            section = _SECTION.fullmatch(line)
            if section:
                system, way = section[1], section[2]
            elif line.strip() and not (line.startswith("# ") and not system):
                found.append(Entry(system, way, line, f"{file.name}:{number}"))
    return tuple(found)


def of(system: str, way: str) -> list[Entry]:
    """Return those of one kind."""
    return [entry for entry in entries() if (entry.system, entry.way) == (system, way)]


def document(text: str) -> object:
    """Parse JSON that may hold canaries; return the text if it is none."""
    try:
        return json.loads(text, strict=False)
    except ValueError:
        return text
