"""Places within a call site's statements at which something suspicious was seen in the last minutes."""

from typing import Any, Final

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.known import RECENT

RECENT_SECONDS: Final = 300


@kernel
def count_recent(site: Any, slot: int, time_s: int, broken: bool) -> int:
    """Count the suspicious statements of the last minutes that differ at the same place, or are as broken."""
    found = 0
    for k in range(RECENT):
        if site["slot_s"][k] != 0 and time_s - int(site["slot_s"][k]) <= RECENT_SECONDS:
            found += broken or (slot != 0 and site["slot"][k] == slot)
    return found


@kernel
def note_suspicious(site: Any, slot: int, time_s: int) -> None:
    """Note a suspicious statement that differs at a place; the oldest gives way."""
    oldest = 0
    for k in range(RECENT):
        if site["slot_s"][k] < site["slot_s"][oldest]:
            oldest = k
    site["changed"] = 1
    site["slot"][oldest] = slot
    site["slot_s"][oldest] = max(time_s, 1)
