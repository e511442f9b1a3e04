"""The reports of kafka-python's calls: messages sent and polled, commits, administration."""

import threading
from time import time_ns
from typing import Any

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.kafka import observer as shared
from backwatch.collector.probes.families.kafka.observer import KEY, Error, Sending, Turn
from backwatch.collector.probes.toolkit.messages import asked, is_ours, names_in
from backwatch.collector.redaction import messaging
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import PRODUCER


class _Threads(threading.local):
    turn: Turn | None = None
    opener: Any = None
    """The client that is making a connection."""
    inside = 0


class KafkaWatch(shared.KafkaWatch):
    """Follows kafka-python's clients."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self.threads = _Threads()

    def owner(self, client: Any) -> Any:
        """What holds the connections of a producer, a consumer or an administrator."""
        found = client.__dict__.get(KEY)
        if found is None:
            inner = getattr(client, "_client", None) or client._sender._client
            found = client.__dict__[KEY] = getattr(inner, "_manager", inner)
        return found

    # --- messages ---

    @never_breaks_the_host
    def began(self, client: Any) -> int:
        """When the app's call began; 0 where it is not to be told: it is our own, or lies inside another."""
        if self.recorder is None or self.threads.inside or self.hub(self.owner(client)).own:
            return 0
        return time_ns()

    @never_breaks_the_host
    def sent(self, client: Any, start_ns: int, topic: Any, future: Any, error: Error) -> None:
        """A message was handed over. It is told when it is acknowledged, or here where it was refused."""
        recorder = self.recorder
        if recorder is None or is_ours(topic):
            return
        sending = Sending(self, "send", self.owner(client), start_ns, None)
        sending.kind, sending.asked = PRODUCER, asked("send", topic)
        if error is not None:
            self.ended(sending, error)
            return
        sending.caller = recorder.capture_caller()
        sending.estimated = (sum(size for size in future.args[3:] if size > 0), -1)
        sending.partition = future._produce_future.topic_partition
        future.add_callback(sending.succeeded)
        future.add_errback(sending.failed)

    @never_breaks_the_host
    def polling(self, consumer: Any) -> Turn | None:
        """A poll begins."""
        if self.recorder is None:
            return None
        hub = self.hub(self.owner(consumer))
        if hub.own:
            return None
        turn = self.threads.turn = Turn(hub)
        return turn

    @never_breaks_the_host
    def polled(self, consumer: Any, turn: Turn, found: Any, error: Error) -> None:
        """A poll ended: one record per topic, none where it brought nothing."""
        self.threads.turn = None
        self.told_polled(consumer, turn, found, error)

    def taking(self, topic: Any) -> None:
        """From here on what this thread unpacks is of that topic."""
        turn = self.threads.turn
        if turn is not None:
            turn.taking(topic)

    def unpacked(self, before: int, after: int) -> None:
        """A compressed batch was unpacked."""
        turn = self.threads.turn
        if turn is not None:
            turn.opened(before, after)

    def sampled(self, data: Any) -> None:
        """A value is about to be deserialised by the app's own function."""
        turn = self.threads.turn
        if turn is not None:
            turn.sampled(data)

    @never_breaks_the_host
    def awaited(self, client: Any, start_ns: int, operation: str, argument: Any, future: Any) -> None:
        """An operation whose answer comes to a future."""
        if self.recorder is None:
            return
        sending = Sending(self, operation, self.owner(client), start_ns, self.recorder.capture_caller())
        sending.asked = sending.asked._replace(statement=messaging.to_statement(operation, names_in(argument)))
        future.add_callback(sending.succeeded)
        future.add_errback(sending.failed)
