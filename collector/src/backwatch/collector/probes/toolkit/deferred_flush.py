"""Under asyncio an app waits for the next message without an end: what a burst left is told by the loop's own clock.

The loop keeps nothing alive by it: it has a weak reference, and no context of the app's. Whoever took the messages is
remembered, for the loop is nobody.
"""

import asyncio
from contextvars import Context
from weakref import ref

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.toolkit.messages import Gathered
from backwatch.collector.runtime.guard import never_breaks_the_host


def settle(gathered: Gathered, recorder: Recorder) -> None:
    """Has the running loop tell what waits, in a second, unless it is about to. Call it after each message."""
    if not gathered.count:
        return
    if gathered.caller is None:  # of the first that waits; a record that came in between has taken the last one along
        gathered.caller = recorder.capture_caller()
    if not gathered.awaited:
        _await(gathered)


def _await(gathered: Gathered) -> None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # then the next message does, or the end
        return
    gathered.awaited = True
    loop.call_later(gathered.left_s(), _tell, ref(gathered), context=Context())


@never_breaks_the_host
def _tell(known: "ref[Gathered]") -> None:
    gathered = known()
    if gathered is None:
        return
    gathered.awaited = False
    if gathered.count and gathered.left_s() > 0:  # others have been told meanwhile
        _await(gathered)
    else:
        gathered.flush()
