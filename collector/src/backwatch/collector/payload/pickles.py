"""The globals that a pickle would import, found by following its opcodes. Nothing is ever loaded.

A pickle is a program: ``pickle.loads`` of a hostile one runs code long before it returns or fails. The walk follows
the opcodes of protocols 0 to 5 as ``pickletools`` lists them. It stops where the unpickler fails: at an unknown opcode,
if the stack holds too little, if it calls something that is not callable. It must not stop earlier, or the rest would
be hidden. A broken program counts up to that point, because the unpickler has executed it by then.

A ``ValueBudget`` bounds the work, however long the data; arguments are skipped, not read. The rest of a longer program
is searched by ``find_likely_globals``, and ``UNSEEN`` is added.
"""

import codecs
import re
from typing import Final

from backwatch.collector.payload.budget import ValueBudget
from backwatch.collector.payload.pickle_search import NOTORIOUS, find_likely_globals

UNSEEN: Final = "?"
"""Stands for the globals that a program may import beyond the followed part."""
_BEFORE: Final = 256
"""Bytes before the end of the walk that are searched, too: a global may span that position."""
_WORD_BYTES: Final = 1_000
"""Bytes of a module's or a global's name: more than is ever reported."""
_KEY_BYTES: Final = 5_000
"""Bytes of a memo key in digits: more than Python reads."""
_MANY: Final = 3
"""Number of different opcodes: ordinary text that repeats thousands of times has fewer."""

_SIZES: Final = {
    **dict.fromkeys(b"(.0N\x88\x89]ael}dsut\x85\x86\x87\x8f\x90\x91Rbo\x81\x92\x93Q12)\x94\x97\x98", 0),
    **dict.fromkeys(b"Kqh\x80\x82", 1),
    **dict.fromkeys(b"M\x83", 2),
    **dict.fromkeys(b"Jjr\x84", 4),
    **dict.fromkeys(b"G\x95", 8),
}
"""Opcodes whose argument has a fixed length."""
_COUNTED: Final = {
    **dict.fromkeys(b"UC\x8c\x8a", 1),
    **dict.fromkeys(b"TBX\x8b", 4),
    **dict.fromkeys(b"\x8d\x8e\x96", 8),
}
"""Opcodes whose argument begins with its own length, in so many bytes, little-endian."""
_LINES: Final = {**dict.fromkeys(b"ILFSVPgp", 1), **dict.fromkeys(b"ci", 2)}
"""Opcodes whose argument is one or two lines."""

_TEXTS: Final = frozenset(b"UTX\x8c\x8dSV")
_PUSHES: Final = frozenset(b"NIJKLMGFBC\x8a\x8b\x8e\x96\x88\x89]})\x8f")
_PUSHES_ANYTHING: Final = frozenset(b"P\x97")
_ONLY_PUSHES: Final = _TEXTS | _PUSHES | _PUSHES_ANYTHING | frozenset(b"(")
"""Opcodes that need nothing on the stack, so that random letters can be a valid program of them."""
_TUPLES: Final = {0x85: 1, 0x86: 2, 0x87: 3}
_TO_MARK: Final = frozenset(b"tld\x911eu\x90oi")
_FILLS_FROM_MARK: Final = frozenset(b"eu\x90")
_FILLS: Final = {ord("a"): 2, ord("s"): 3, ord("b"): 2}
"""Opcodes that modify the object at this depth of the stack, which stays there."""
_CALLS: Final = {ord("R"): 2, 0x81: 2, 0x92: 3}
"""Opcodes that call the object at this depth of the stack."""
_PUTS: Final = frozenset(b"pqr\x94")
_GETS: Final = frozenset(b"ghj")
_GLOBALS: Final = frozenset(b"c\x93\x82\x83\x84")

_Value = tuple[int, int, int] | bool
"""An element of the stack or the memo: opcode and position of a text, or one of the two below."""
_ANYTHING: Final = True
"""A global, or an object that one has made."""
_DATA: Final = False
"""A value that cannot be called and names nothing."""

_RAW_ARRAYS: Final = ("joblib.numpy_pickle", "numpy_pickle")
"""Modules whose pickles hold the bytes of arrays between opcodes, where no walk can follow."""
_NAME: Final = re.compile(r"[^\W\d][\w.-]*\r?\Z")
_ESCAPE: Final = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([0-3]?[0-7]{1,2})|(.))", re.DOTALL)


class PickleWalk:
    """The result of following one pickle.

    Args:
        data: A possible pickle.
        budget: The budget of the walk, which subtracts what it uses.
        marked: True if the data is known to be a pickle: then a global may have any name.
        cut: True if the value is longer than ``data``.

    Attributes:
        names: Distinct ``module.name`` in order of appearance; ``?`` for a part that the program computes.
        runs: True if an object that came from a global was called or modified.
        stopped: Position of STOP, or -1.
        broken: True if the unpickler would have failed.
        unfinished: True if the program is longer than the budget allows.
    """

    __slots__ = (
        "_budget", "_data", "_marked", "_marks", "_memo", "_met", "_stack",
        "broken", "names", "runs", "stopped", "unfinished",
    )  # fmt: skip

    def __init__(
        self, data: bytes, budget: ValueBudget | None = None, *, marked: bool = False, cut: bool = False
    ) -> None:
        self._data = data
        self._budget = budget or ValueBudget()
        self._marked = marked
        self._stack: list[_Value] = []
        self._marks: list[int] = []
        self._memo: dict[int, _Value] = {}
        self._met: set[int] = set()
        self.names: dict[str, None] = {}
        self.runs = False
        self.stopped = -1
        self.broken = False
        self.unfinished = False
        position = self._follow(cut)
        if self.unfinished or (self.broken and any(name.startswith(_RAW_ARRAYS) for name in self.names)):
            self._search(position)

    @property
    def is_program(self) -> bool:
        """True if data beyond the budget is a program, and not text that happens to consist of opcodes."""
        return self.unfinished and (len(self._met) >= _MANY or not self._met <= _ONLY_PUSHES)

    def _follow(self, cut: bool) -> int:
        data, position, end, step, met = self._data, 0, len(self._data), self._step, self._met
        left = self._budget.opcodes
        while True:
            begin = position
            if left <= 0:
                self.unfinished = True
                break
            if position >= end:
                self.unfinished, self.broken = cut, not cut
                break
            left -= 1
            code = data[position]
            position += 1
            if code in _SIZES:
                first = position
                position = last = first + _SIZES[code]
            elif code in _COUNTED:
                first = position + _COUNTED[code]
                position = last = first + int.from_bytes(data[position:first], "little")
            elif code in _LINES:
                first = position
                last = self._line_end(first, _LINES[code])
                if last < 0:
                    self.unfinished = cut or self._budget.lines <= 0
                    self.broken = not self.unfinished
                    break
                position = last + 1
            else:
                self.broken = True
                break
            if first > end or last > end:
                self.unfinished, self.broken = cut, not cut
                break
            met.add(code)
            step(code, first, last)
            if self.broken:
                break
            if code == 0x2E:
                self.stopped = position
                break
        self._budget.opcodes = left
        return begin

    def _line_end(self, first: int, lines: int) -> int:
        """Return where the last of so many lines ends; -1: there is no such end, or the budget is spent."""
        begin = first
        for _ in range(lines):
            end = self._data.find(b"\n", begin, begin + max(0, self._budget.lines))
            if end < 0:
                self._budget.lines -= len(self._data) - begin
                return -1
            self._budget.lines -= end - begin
            begin = end + 1
        return begin - 1

    def _step(self, code: int, first: int, last: int) -> None:
        stack, marks = self._stack, self._marks
        depth = len(stack) - (marks[-1] if marks else 0)
        if code in _TEXTS:
            if code == 0x53 and not self._is_quoted(first, last):
                self.broken = True
            stack.append((code, first, last))
        elif code in _PUSHES:
            stack.append(_DATA)
        elif code in _PUTS:
            if depth < 1:
                self.broken = True
            else:
                self._memo[self._key(code, first, last)] = stack[-1]
        elif code in _GETS:
            stack.append(self._memo.get(self._key(code, first, last), _ANYTHING))
        elif code == 0x28:
            marks.append(len(stack))
        elif code in _TO_MARK:
            self._back_to_mark(code, first, last)
        elif code in _TUPLES:
            self._replace(_TUPLES[code], depth, _DATA)
        elif code in _FILLS:
            count = _FILLS[code]
            self._use(count, depth)
            if not self.broken:
                del stack[len(stack) - count + 1 :]
        elif code in _CALLS:
            self._use(_CALLS[code], depth, calls=True)
            self._replace(_CALLS[code], depth, _ANYTHING)
        elif code in _GLOBALS:
            self._global(code, first, last, depth)
        elif code in _PUSHES_ANYTHING:
            stack.append(_ANYTHING)
        elif code == 0x80:
            self.broken = self._data[first] > 5
        elif code == 0x30 and depth < 1 and marks:
            marks.pop()  # POP of a MARK, as the unpickler does it
        elif code != 0x95:
            self._top(code, depth)

    def _top(self, code: int, depth: int) -> None:
        """STOP, POP, DUP, BINPERSID and READONLY_BUFFER: all of them need one value."""
        if depth < 1:
            self.broken = True
        elif code == 0x30:
            self._stack.pop()
        elif code == 0x32:
            self._stack.append(self._stack[-1])
        elif code == 0x51:
            self._stack[-1] = _ANYTHING

    def _use(self, count: int, depth: int, *, calls: bool = False) -> None:
        """Note a call of what lies so deep; plain data cannot be called."""
        if depth < count:
            self.broken = True
        elif self._stack[-count] is _ANYTHING:
            self.runs = True
        elif calls:
            self.broken = True

    def _replace(self, count: int, depth: int, value: _Value) -> None:
        if depth < count:
            self.broken = True
        else:
            self._stack[len(self._stack) - count :] = (value,)

    def _back_to_mark(self, code: int, first: int, last: int) -> None:
        stack, marks = self._stack, self._marks
        if not marks:
            self.broken = True
            return
        mark = marks.pop()
        above = stack[mark:]
        if code in _FILLS_FROM_MARK:
            self._use(len(above) + 1, len(stack) - (marks[-1] if marks else 0))
        del stack[mark:]
        if code == 0x69:
            self._tell(*self._lines(first, last))
            self.runs = self.runs or not self.broken
            stack.append(_ANYTHING)
        elif code == 0x6F:
            if not above or above[0] is not _ANYTHING:
                self.broken = True
            self.runs = self.runs or not self.broken
            stack.append(_ANYTHING)
        elif code != 0x31 and code not in _FILLS_FROM_MARK:
            stack.append(_DATA)

    def _key(self, code: int, first: int, last: int) -> int:
        """Return a memo key; -1 if Python reads none either."""
        if code == 0x94:
            return len(self._memo)
        if code not in b"pg":
            return int.from_bytes(self._data[first:last], "little")
        if last - first > _KEY_BYTES:
            return -1
        text = self._data[first:last].partition(b"\0")[0].strip()  # C reads it up to there
        digits = text.lstrip(b"+-").replace(b"_", b"").lstrip(b"0")
        if not digits:
            return 0 if text else -1
        return int(digits) if digits.isdigit() and len(digits) < 20 else -1

    def _global(self, code: int, first: int, last: int, depth: int) -> None:
        stack = self._stack
        if code == 0x63:
            self._tell(*self._lines(first, last))
        elif code == 0x93:
            if depth < 2 or stack[-1] is _DATA or stack[-2] is _DATA:
                self.broken = True
                return
            name, module = self.text_of(stack.pop()), self.text_of(stack.pop())
            self._tell(module, name)
        else:
            number = int.from_bytes(self._data[first:last], "little")
            self.broken = not number
            self._tell("copyreg", f"extension-{number}")
        stack.append(_ANYTHING)

    def _tell(self, module: str, name: str) -> None:
        if self.broken:
            return
        names = self.names
        names[f"{module or '?'}.{name or '?'}"] = None
        if not name:
            names["?.?"] = None  # a computed name is meant to be hidden, in any module
        attribute, dot, _ = name.partition(".")
        if dot and module in NOTORIOUS:
            names[f"{module}.{attribute}"] = None  # eval.__call__ is eval
        elif dot and attribute in NOTORIOUS:
            names[name] = None  # one module reached through another

    def _lines(self, first: int, last: int) -> tuple[str, str]:
        module, _, name = self._data[first:last].partition(b"\n")
        return self._line(module), self._line(name)

    def _line(self, line: bytes) -> str:
        try:
            text = line[:_WORD_BYTES].decode("utf-8", "strict" if len(line) <= _WORD_BYTES else "ignore")
        except UnicodeDecodeError:
            text = ""
        if not text or not (self._marked or _NAME.match(text)):
            self.broken = True
        return text.rstrip("\r")

    def _is_quoted(self, first: int, last: int) -> bool:
        quote, line = self._data[first : first + 1], self._data[max(first, last - 8) : last].rstrip(b"\r")
        return last - first > 1 and quote in (b"'", b'"') and line.endswith(quote)

    def text_of(self, value: _Value) -> str:
        """Return a text as the program has written it; empty if the program computes it."""
        if isinstance(value, bool):
            return ""
        code, first, last = value
        raw = self._data[first : min(last, first + _WORD_BYTES)]
        if code == 0x56:
            return codecs.raw_unicode_escape_decode(raw, "replace")[0]
        if code == 0x53:
            raw = _ESCAPE.sub(_unescape, raw.strip(b"'\"\r"))
        return raw.decode("utf-8", "replace")

    def _search(self, position: int) -> None:
        """Search the next part and the last part of a program that is longer than the budget allows."""
        data, half = self._data, max(0, self._budget.searched) // 2
        begin = max(0, position - _BEFORE)
        middle = min(len(data), begin + half)
        found: dict[str, None] = {}
        for window in (data[begin:middle], data[max(middle, len(data) - half) :]):
            self._budget.searched -= len(window)
            found |= find_likely_globals(window, lambda key: self.text_of(self._memo.get(key, _DATA)))
        if found:
            self.runs = True
        self.names |= found
        self.names[UNSEEN] = None


def _unescape(escape: re.Match[bytes]) -> bytes:
    if escape[3]:
        return escape[3]
    return bytes((int(escape[1], 16) if escape[1] else int(escape[2], 8),))
