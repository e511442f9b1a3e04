"""Which globals a pickle would import, found by walking its opcodes. Nothing is ever loaded.

A pickle is a program: ``pickle.loads`` of a hostile one runs code long before it returns, or fails. The walk follows
the opcodes of protocols 0 to 5 as ``pickletools`` lists them, and keeps of the stack and memo only short texts, since
those name the globals. A broken program counts up to where it breaks: everything before that has run by then.

Bounds: ``MAX_OPCODES`` steps, however long the data; the arguments are skipped, not read. A program that goes on
is searched for names by one pattern over the next ``WINDOW_BYTES``.
"""

import re
from typing import Final

MAX_OPCODES: Final = 3_000
WINDOW_BYTES: Final = 65_536
MAX_NAMES: Final = MAX_OPCODES
"""Distinct globals noted in one walk. As many as it has steps: what comes last may be what counts."""
_TEXT_BYTES: Final = 120
_STACK: Final = 4_096
_BEFORE: Final = 256
"""A name may stand on both sides of the place where the walk ended."""

_FIXED: Final = {
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
_PUSHES: Final = frozenset(b"NIJKLMGFPBC\x8a\x8b\x8e\x96\x88\x89]})\x8f\x97")
_TO_MARK: Final = frozenset(b"tld\x90\x91eu1oi")
_PUSHES_AFTER_MARK: Final = frozenset(b"tld\x91oi")
_POPS: Final = {
    ord("0"): 1,
    ord("a"): 1,
    ord("s"): 2,
    ord("b"): 1,
    ord("R"): 2,
    0x81: 2,
    0x92: 3,
    0x85: 1,
    0x86: 2,
    0x87: 3,
}
_PUSHES_AFTER_POP: Final = frozenset(b"R\x81\x92\x85\x86\x87Q")
_RUNS: Final = frozenset(b"Rbo\x81\x92i")
"""Opcodes that call something."""

_NAME: Final = re.compile(rb"[A-Za-z_][\w.]{0,119}\Z")
_WORD: Final = rb"([A-Za-z_][\w.]{0,99})"
_TEXT_OR_GET: Final = rb"(?:(?:\x8c.|X.\x00\x00\x00)" + _WORD + rb"|V" + _WORD + rb"\n|h(.))(?:\x94|q.)?"
_LATER: Final = re.compile(
    rb"[ci]" + _WORD + rb"\n" + _WORD + rb"\n|" + _TEXT_OR_GET + _TEXT_OR_GET + rb"\x93", re.DOTALL
)


class Walk:
    """What was seen on one walk.

    Attributes:
        names: Distinct ``module.name`` in the order met; ``?`` for a part that the program computes.
        runs: Whether a global was there when something was called.
        stopped: Where STOP stood, or -1.
        broken: Whether an opcode or its argument makes no sense.
    """

    __slots__ = ("_data", "_marks", "_memo", "_stack", "broken", "names", "runs", "stopped")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._stack: list[str | None] = []
        self._marks: list[int] = []
        self._memo: dict[int, str | None] = {}
        self.names: dict[str, None] = {}
        self.runs = False
        self.stopped = -1
        self.broken = False
        self._follow()

    def _follow(self) -> None:
        data, position, end = self._data, 0, len(self._data)
        budget = 4 * WINDOW_BYTES
        for _ in range(MAX_OPCODES):
            if position >= end:
                self.broken = True
                return
            code = data[position]
            position += 1
            if code in _FIXED:
                first = last = position
                last += _FIXED[code]
            elif code in _COUNTED:
                first = position + _COUNTED[code]
                last = first + int.from_bytes(data[position:first], "little")
            elif code in _LINES:
                first, last = position, data.find(b"\n", position, position + budget)
                if last >= 0 and _LINES[code] == 2:
                    last = data.find(b"\n", last + 1, last + 1 + budget)
                budget -= last - first
            else:
                self.broken = True
                return
            if last < first or last > end:
                self.broken = True
                return
            if code == 0x2E:
                self.stopped = position
                return
            self._step(code, first, last)
            if self.broken:
                return
            position = last + 1 if code in _LINES else last
        self._search(position)

    def _step(self, code: int, first: int, last: int) -> None:
        if code in _RUNS and self.names:
            self.runs = True
        stack = self._stack
        if code in _TEXTS:
            stack.append(self._text(code, first, last))
        elif code in _PUSHES:
            stack.append(None)
        elif code == 0x28:
            self._marks.append(len(stack))
        elif code in b"pqr\x94gh\x6a":
            self._remember(code, first, last)
        elif code in b"c\x93\x82\x83\x84":
            self._global(code, first, last)
        elif code in _TO_MARK:
            if code == 0x69:
                self._global(code, first, last)
                stack.pop()
                self.runs = True
            self._back_to_mark()
            if code in _PUSHES_AFTER_MARK:
                stack.append(None)
        elif code == 0x32:
            stack.append(stack[-1] if stack else None)
        elif code in _POPS or code == 0x51:
            self._pop(code)
        if len(stack) > _STACK:
            # Only the top matters to us, and a program must not make our memory its own.
            del stack[: _STACK // 2]
            self._marks = [max(0, mark - _STACK // 2) for mark in self._marks[-64:]]

    def _pop(self, code: int) -> None:
        stack = self._stack
        if code == 0x30 and self._marks and self._marks[-1] == len(stack):
            self._marks.pop()  # POP of a MARK, as the unpickler does it
            return
        count = _POPS.get(code, 1)
        if count:
            del stack[max(0, len(stack) - count) :]
        if code in _PUSHES_AFTER_POP:
            stack.append(None)

    def _back_to_mark(self) -> None:
        if self._marks:
            del self._stack[self._marks.pop() :]
        else:
            self.broken = True

    def _text(self, code: int, first: int, last: int) -> str | None:
        if last - first > _TEXT_BYTES:
            return None
        text = self._data[first:last]
        if code == 0x53:
            if len(text) < 2 or text[:1] not in (b"'", b'"') or text[:1] != text.rstrip(b"\r")[-1:]:
                self.broken = True
            text = text.strip(b"'\"\r")
        return text.decode("utf-8", "replace")

    def _remember(self, code: int, first: int, last: int) -> None:
        argument = self._data[first:last]
        if code in b"pg":
            digits = argument.strip()
            key = int(digits) if digits.isdigit() and len(digits) < 10 else -1
            if key < 0:
                self.broken = True
                return
        else:
            key = len(self._memo) if code == 0x94 else int.from_bytes(argument, "little")
        if code in b"gh\x6a":
            self._stack.append(self._memo.get(key))
        else:
            self._memo[key] = self._stack[-1] if self._stack else None

    def _global(self, code: int, first: int, last: int) -> None:
        if code == 0x93:
            name = self._stack.pop() if self._stack else None
            module = self._stack.pop() if self._stack else None
        elif code in b"ci":
            module_bytes, _, name_bytes = self._data[first:last].partition(b"\n")
            if not (_NAME.match(module_bytes.rstrip(b"\r")) and _NAME.match(name_bytes.rstrip(b"\r"))):
                self.broken = True
            module = module_bytes[:_TEXT_BYTES].decode("ascii", "replace").rstrip("\r")
            name = name_bytes[:_TEXT_BYTES].decode("ascii", "replace").rstrip("\r")
        else:
            module, name = "copyreg", f"extension-{int.from_bytes(self._data[first:last], 'little')}"
        if not self.broken and len(self.names) < MAX_NAMES:
            self.names[f"{module or '?'}.{name or '?'}"] = None
        self._stack.append(None)

    def _search(self, position: int) -> None:
        """The program is longer than we follow: names by their look, from a little before here in one window."""
        first = max(0, position - _BEFORE)
        for found in _LATER.finditer(self._data[first : first + WINDOW_BYTES]):
            if found[1]:
                module, name = _decoded(found[1]), _decoded(found[2])
            else:
                module = _decoded(found[3] or found[4]) or self._memo.get(found[5][0]) or "?"
                name = _decoded(found[6] or found[7]) or self._memo.get(found[8][0]) or "?"
            if len(self.names) < MAX_NAMES and (module, name) != ("?", "?"):
                self.names[f"{module}.{name}"] = None
                self.runs = True


def _decoded(word: bytes | None) -> str:
    return word.decode("ascii", "replace") if word else ""
