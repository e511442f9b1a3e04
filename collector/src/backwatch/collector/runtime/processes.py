"""Identity of this process, and a page of shared memory in which related processes see each other's collectors.

A process whose collector thread is stuck cannot report it. Its relatives can: the page is made before any fork, each
process marks its own slot in it, and each worker reads the other slots when it sends a heartbeat. A mark is a write to
memory: no lock that a fork could copy, no system call on a thread of the app.
"""

import mmap
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

SLOTS: Final = 128
"""Slots of the page. With more related processes, some are invisible to their relatives."""
SLOT_BYTES: Final = 64
INSTANCE_BYTES: Final = 8
MAX_PID: Final = (1 << 31) - 1
MAX_REPORTED: Final = 16
"""Maximum number of relatives in one heartbeat."""

_SLOT: Final = struct.Struct("<q8sqqqq")  # pid, instance, first call, claimed since boot, last turn, last delivery
_NS: Final = 10**9


class ProcessIdentity(NamedTuple):
    """One process of an app.

    Attributes:
        instance: 16 random hexadecimal digits: pids repeat across hosts and over time.
        parent: Instance of the process that forked this one; empty if it was not forked.
    """

    pid: int
    instance: str
    parent: str


class Relative(NamedTuple):
    """A related process whose collector does not report for itself.

    Attributes:
        since_ns: Wall time of its last delivery, or of its first call if it never delivered.
        delivered: True if it ever delivered.
        running: True if the process still runs.
    """

    pid: int
    instance: str
    since_ns: int
    delivered: bool
    running: bool

    def as_text(self) -> str:
        """Return its entry in a heartbeat's list: ``instance:pid:since_ns:delivered``."""
        return f"{self.instance}:{self.pid}:{self.since_ns}:{int(self.delivered)}"


class _State:
    """This process's identity and page; children inherit both at a fork.

    Attributes of an object, not of the class: when a class attribute is replaced, CPython frees the old page before it
    updates its attribute cache, and another thread that reads it in between reads freed memory.
    """

    def __init__(self) -> None:
        self.identity: ProcessIdentity | None = None
        self.page: mmap.mmap | None = None


_state: Final = _State()


def prepare_shared_page() -> None:
    """Create this process's identity and the shared page if they do not exist; about 20 µs, once."""
    current_identity()
    if _state.page is None and hasattr(os, "fork"):
        try:
            _state.page = mmap.mmap(-1, SLOTS * SLOT_BYTES)  # anonymous and shared with every child
        except (OSError, ValueError):
            _state.page = None


def current_identity() -> ProcessIdentity:
    """Return the identity of this process; a child of a fork gets its own at its first call."""
    identity, pid = _state.identity, os.getpid()
    if identity is None or identity.pid != pid:
        parent = identity.instance if identity is not None else ""
        identity = _state.identity = ProcessIdentity(pid, os.urandom(INSTANCE_BYTES).hex(), parent)
    return identity


class Slot:
    """The slot of the shared page in which this process marks that its collector works.

    Two processes may claim the same free slot at the same moment. The later write wins, and the other process claims
    another slot at its next mark.
    """

    def __init__(self) -> None:
        self._identity = current_identity()
        self._page = _state.page
        self._first_call_ns, self._claimed_ns = time.time_ns(), _since_boot_ns()
        self._turned_ns, self._delivered_ns = time.monotonic_ns(), 0
        self._at = self._claim()

    def _claim(self) -> int:
        if self._page is None:
            return -1
        free = -1
        for step in range(SLOTS):
            at = (self._identity.pid + step) % SLOTS * SLOT_BYTES
            pid, instance, *_ = _SLOT.unpack_from(self._page, at)
            if pid == 0 and free < 0:
                free = at
            elif pid and instance.hex() == self._identity.instance:
                return at
        if free >= 0:
            self._write(free)
        return free

    def _write(self, at: int) -> None:
        if self._page is not None:
            _SLOT.pack_into(
                self._page, at, self._identity.pid, bytes.fromhex(self._identity.instance), self._first_call_ns,
                self._claimed_ns, self._turned_ns, self._delivered_ns,
            )  # fmt: skip

    def mark(self, *, delivered: bool = False) -> None:
        """Record that the worker's loop ran, and whether it delivered."""
        self._turned_ns = time.monotonic_ns()
        if delivered:
            self._delivered_ns = time.time_ns()
        if self._page is None or self._identity.pid != os.getpid():
            return
        if self._at < 0 or _SLOT.unpack_from(self._page, self._at)[1].hex() != self._identity.instance:
            self._at = self._claim()
        if self._at >= 0:
            self._write(self._at)

    def release(self) -> None:
        """Free the slot: this process shuts down cleanly, or its collector is closed."""
        if self._at >= 0 and self._identity.pid == os.getpid():
            free_slot(self._identity.instance)
        self._at, self._page = -1, None


def find_silent_relatives(silent_after_s: float) -> list[Relative]:
    """Return related processes whose worker has not run for so long, or which ended without a final heartbeat.

    Reads ``/proc`` if there is one; for the worker's thread only.
    """
    found: list[Relative] = []
    now_ns, mine = time.monotonic_ns(), os.getpid()
    for pid, instance, first_call_ns, claimed_ns, turned_ns, delivered_ns in _slots():
        if pid == mine or len(found) >= MAX_REPORTED:
            continue
        running = _is_running(pid, claimed_ns)
        if not running or now_ns - turned_ns > silent_after_s * _NS:
            since_ns = delivered_ns or first_call_ns
            found.append(Relative(pid, instance, since_ns, bool(delivered_ns), running))
    return found


def free_slot(instance: str) -> None:
    """Free the slot of this instance: it was released, or its end has been reported."""
    page = _state.page
    if page is not None:
        for at in range(0, SLOTS * SLOT_BYTES, SLOT_BYTES):
            if _SLOT.unpack_from(page, at)[1].hex() == instance:
                page[at : at + SLOT_BYTES] = bytes(SLOT_BYTES)


def _slots() -> Iterator[tuple[int, str, int, int, int, int]]:
    page = _state.page
    if page is not None:
        for at in range(0, SLOTS * SLOT_BYTES, SLOT_BYTES):
            pid, instance, first_call_ns, claimed_ns, turned_ns, delivered_ns = _SLOT.unpack_from(page, at)
            if 0 < pid <= MAX_PID:  # a related process may write anything here
                yield pid, instance.hex(), first_call_ns, claimed_ns, turned_ns, delivered_ns


def _since_boot_ns() -> int:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return 0 if clock is None else time.clock_gettime_ns(clock)


def _is_running(pid: int, claimed_ns: int) -> bool:
    """Return whether the process that claimed its slot at that time still runs.

    A zombie does not run, nor does another process that got the same pid.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it runs under another account
    try:
        # The program's name in parentheses may contain anything: fields are counted from the last parenthesis.
        # Bytes: decoding text would look up, and the first time import, an encoding.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        began_ns = int(fields[19]) * _NS // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return True
    return fields[0] not in (b"Z", b"X") and not (claimed_ns and began_ns > claimed_ns + _NS)
