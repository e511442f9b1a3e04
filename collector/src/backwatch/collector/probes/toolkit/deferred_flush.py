"""Flush pending messages by the event loop's clock: under asyncio an app may wait for the next message forever.

The loop keeps nothing alive by it: it has a weak reference, and no context of the app. The caller of the first pending
message is kept for the record, since the loop has no caller of its own.
"""

import asyncio
from contextvars import Context
from weakref import ref

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.toolkit.messages import PendingMessages
from backwatch.collector.runtime.guard import never_breaks_the_host


def defer_flush(messages: PendingMessages, recorder: Recorder) -> None:
    """Schedule a flush on the running loop, within a second, unless one is scheduled. Call it after each message."""
    if not messages.count:
        return
    if messages.caller is None:  # of the first pending one; a record in between has taken the last one along
        messages.caller = recorder.capture_caller()
    if not messages.is_scheduled:
        _schedule(messages)


def _schedule(messages: PendingMessages) -> None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # then the next message flushes, or the end of the process
        return
    messages.is_scheduled = True
    loop.call_later(messages.seconds_left(), _flush, ref(messages), context=Context())


@never_breaks_the_host
def _flush(known: "ref[PendingMessages]") -> None:
    messages = known()
    if messages is None:
        return
    messages.is_scheduled = False
    if messages.count and messages.seconds_left() > 0:  # others have been recorded meanwhile
        _schedule(messages)
    else:
        messages.flush()
