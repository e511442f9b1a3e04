"""Facts about a process that the detector misses, from its heartbeats."""

from typing import Final

from backwatch.collector import names
from backwatch.collector.facts.fact import Domain, Fact, Type

WATCH_LOST: Final = "backwatch.watch.lost"
WATCH_SILENT: Final = "backwatch.watch.silent_s"
PROCESS_HEARD: Final = "backwatch.process.heard_ns"


def _fact(name: str, type_: Type, label: str, meaning: str, unit: str = "") -> Fact:
    domain: Domain = "number" if type_ == "number" else "content"
    return Fact(
        name=name, type=type_, scope="process", kind="process", domain=domain, label=label, meaning=meaning, unit=unit
    )


FACTS: Final = (
    _fact(
        WATCH_LOST, "text", "Missing",
        "What is missing: silent, undelivered (a process), app-quiet, app-ended (a whole app); or why it is not: "
        "replaced, gone, brief.",
    ),
    _fact(names.SERVICE_NAME, "text", "App", "The app's name."),
    _fact(names.HOST_NAME, "text", "Host", "The host on which the process runs."),
    _fact(names.PROCESS_INSTANCE, "text", "Process instance", "Random digits of the process, because ids are reused."),
    _fact(WATCH_SILENT, "number", "Silent for", "Seconds since the last heartbeat.", "seconds"),
    _fact(
        PROCESS_HEARD, "number", "Last heartbeat", "Time of the last heartbeat, in nanoseconds since the epoch.",
        "nanoseconds since the epoch",
    ),
    _fact(names.PROCESS_PID, "number", "Process id", "The process's id on its host."),
    _fact(
        names.PROCESS_STARTED, "number", "Collector started",
        "When the process's collector started, by its own clock, in nanoseconds since the epoch.",
        "nanoseconds since the epoch",
    ),
    _fact(names.PROCESS_RECORDED, "number", "Recorded", "Calls that the process recorded.", "calls"),
    _fact(names.PROCESS_DELIVERED, "number", "Delivered", "Calls that the process delivered to the stream.", "calls"),
    _fact(names.PROCESS_DROPPED, "number", "Dropped", "Records that the process dropped.", "records"),
)  # fmt: skip
