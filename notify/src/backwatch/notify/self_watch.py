"""Notify watches the chain that it is the end of: a dead detector cannot raise an alert about itself.

There are two mechanisms for two kinds of faults. If detector or router fall silent, or a partition is not read, notify
sends an event like that of an alert through the outbox: at least once, with one id per incident. A detector that starts
together with notify has as long to report as one that runs. If notify itself, the store or the network is dead, nothing
can be sent. So notify sends a heartbeat while everything works, and the receiver raises the alarm when it stays away.
"""

import hashlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from backwatch.collector.settings import NotifySettings, SettingError
from backwatch.notify.deliver import SECOND_NS, attempt, is_time
from backwatch.notify.outputs import Delivery, Kind, Output
from backwatch.notify.outputs.standard_webhook import StandardWebhook
from backwatch.notify.store_wait import StoreWait
from backwatch.store import tables
from backwatch.store.connect import StoreFull, StoreUnavailable
from backwatch.store.deliveries import EventRow
from backwatch.store.events import format_moment
from backwatch.store.health import shard_rows
from backwatch.store.monitoring.incidents import SILENT_AFTER_S, Incident, find_delivery_incidents, find_incidents
from backwatch.store.progress import read_progress
from backwatch.store.text import LEVELS
from backwatch.store.transactions import reading, writing
from backwatch.store.upsert import insert_missing

logger = logging.getLogger("backwatch")

SILENT: Final = "backwatch.detector_silent"
RESUMED: Final = "backwatch.detector_resumed"
HEARTBEAT: Final = "backwatch.heartbeat"
CHECK_INTERVAL_S: Final = 5.0
"""Seconds between two queries of the store."""
RESUMED_AFTER_S: Final = 300.0
"""Time without a fault after which an incident is over. A fault that comes and goes is one incident."""
SETTLED_AFTER_S: Final = 30.0
"""Time that detectors have to report after the store returns, before their old rows count as silence."""
MAX_EVENTS_READ: Final = 100
"""Newest events about the chain that are searched for open incidents."""
HEARTBEAT_URL: Final = "BACKWATCH_WEBHOOK_HEARTBEAT_URL"
_NO_ALERT: Final = ""


def make_heartbeat_output(settings: NotifySettings) -> Output | None:
    """Make the output that receives heartbeats; ``None``: they are off.

    Raises:
        SettingError: An endpoint without an interval, an interval without an endpoint, or one that cannot be used.
    """
    url = settings.heartbeat_url or settings.webhook_url
    if not settings.heartbeat_s:
        if settings.heartbeat_url:
            raise SettingError(f"BACKWATCH_NOTIFY_HEARTBEAT_S=0: {HEARTBEAT_URL} is set; set the interval in seconds")
        return None
    if not url:
        raise SettingError(f"BACKWATCH_NOTIFY_HEARTBEAT_S={settings.heartbeat_s:g}: set {HEARTBEAT_URL}")
    return StandardWebhook(
        url, settings.webhook_secret.split(), private_hosts=settings.allow_private_hosts, ca_file=settings.ca_file,
        setting=HEARTBEAT_URL if settings.heartbeat_url else "BACKWATCH_WEBHOOK_URL",
    )  # fmt: skip


class SelfWatch:
    """Checks the chain every few seconds, in a thread of its own.

    Args:
        engine: The store.
        endpoints: Endpoints that this notifier serves, each with the seconds that one attempt may take.
        heartbeat: Output that receives heartbeats; ``None``: none are sent.
        settings: The heartbeat's interval and the time-out of an attempt.
        clock_ns: Wall time.
    """

    def __init__(
        self,
        engine: sa.Engine,
        endpoints: Mapping[str, float],
        heartbeat: Output | None,
        settings: NotifySettings,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._engine = engine
        self._endpoints = endpoints
        self._heartbeat = heartbeat
        self._settings = settings
        self._clock_ns = clock_ns
        self._sent_ns: int | None = None
        self._tried_ns: int | None = None
        self._well_since_ns: dict[str, int] = {}  # by incident that is not over
        self._withheld = ""
        self._store_wait = StoreWait("self-watch")
        self._away = False
        # The whole stack may just have been started, the detector after this process: its old rows are no silence yet.
        self._settles_ns = clock_ns() + int(SILENT_AFTER_S * SECOND_NS)

    def run(self, stop: threading.Event) -> None:
        """Check until ``stop`` is set, and wait for the store while it is unavailable."""
        while not stop.is_set():
            try:
                self.turn()
                self._store_wait.over()
            except (StoreUnavailable, StoreFull, DBAPIError) as error:
                self._away = True
                self._well_since_ns.clear()
                self._store_wait.note(error)
            except Exception as error:  # noqa: BLE001  nothing would notice a self-watch that ended; no heartbeat goes out
                logger.error("backwatch: self-watch failed and tries again: %s", type(error).__name__)  # noqa: TRY400
            stop.wait(min(CHECK_INTERVAL_S, self._settings.heartbeat_s or CHECK_INTERVAL_S))

    def turn(self) -> None:
        """Check once: write events for changes of the chain, and send the heartbeat if it is due."""
        now_ns = self._clock_ns()
        with reading(self._engine) as connection:
            progress = read_progress(connection)
            chain = find_incidents(progress, shard_rows(connection), now_ns)
            delivery = find_delivery_incidents(connection, self._endpoints, now_ns)
            still_open = _open_events(connection)
        if self._away:
            self._away = False
            self._settles_ns = max(self._settles_ns, now_ns + int(SETTLED_AFTER_S * SECOND_NS))
        # A clock that was put back must not make the wait longer than it is.
        self._settles_ns = min(self._settles_ns, now_ns + int(max(SILENT_AFTER_S, SETTLED_AFTER_S) * SECOND_NS))
        if now_ns >= self._settles_ns:
            self._write_events(chain, still_open, now_ns)
        self._send_heartbeat([*chain, *delivery], len(progress), now_ns)

    def _write_events(self, chain: Sequence[Incident], still_open: Mapping[str, str], now_ns: int) -> None:
        """Write an event for each kind of incident that has begun, and for each that is over."""
        worst: dict[str, Incident] = {}
        for incident in chain:
            if incident.since_ns:  # else there never was a detector
                worst.setdefault(incident.kind, incident)
        over = self._find_over(worst, still_open, now_ns)
        if not over and worst.keys() <= still_open.keys():
            return
        with writing(self._engine) as connection:
            # Locked in the order in which routing locks them: of two notifiers, one sees the events of the other.
            endpoint = tables.endpoint.c.name
            connection.execute(sa.select(endpoint).order_by(endpoint).with_for_update(key_share=True)).all()
            entered = _open_events(connection)
            rows = [_build_silent_event(incident, now_ns) for kind, incident in worst.items() if kind not in entered]
            rows += [
                _build_resumed_event(kind, entered[kind], now_ns)
                for kind in sorted(over)
                if entered.get(kind) == still_open[kind]
            ]
            insert_missing(connection, tables.event, rows)

    def _find_over(self, worst: Collection[str], still_open: Mapping[str, str], now_ns: int) -> set[str]:
        """Return the kinds of incidents that are over.

        Only while the whole chain is well: a detector that is silent hides what is wrong with single partitions. And
        by incident, not by kind: another notifier may have ended the one before, and the next one begins anew.
        """
        if worst:
            self._well_since_ns.clear()
            return set()
        self._well_since_ns = {
            incident_id: self._well_since_ns.get(incident_id, now_ns) for incident_id in still_open.values()
        }
        return {
            kind
            for kind, incident_id in still_open.items()
            if now_ns - self._well_since_ns[incident_id] >= RESUMED_AFTER_S * SECOND_NS
        }

    def _send_heartbeat(self, wrong: Sequence[Incident], partitions: int, now_ns: int) -> None:
        if self._heartbeat is None or not is_time(self._sent_ns, now_ns, self._settings.heartbeat_s):
            return
        if wrong:
            self._log_withheld(wrong[0])
            return
        self._withheld = ""
        if not is_time(self._tried_ns, now_ns, min(CHECK_INTERVAL_S, self._settings.heartbeat_s)):
            return
        self._tried_ns = now_ns
        data = {"interval_s": self._settings.heartbeat_s, "partitions": partitions}
        event_id = f"heartbeat_{secrets.token_hex(13)}"
        event = EventRow(
            id=event_id, kind=HEARTBEAT, alert_id=_NO_ALERT, level_rank=0, body=_body(HEARTBEAT, data, now_ns)
        )
        delivery = Delivery(id=event_id, body=self._heartbeat.render(event), attempted_ns=now_ns)
        outcome = attempt(self._heartbeat, delivery, self._settings.timeout_s)
        if outcome.kind is Kind.DELIVERED:
            self._sent_ns = now_ns
        else:
            logger.warning("backwatch: the heartbeat was not accepted: %s", outcome.detail)

    def _log_withheld(self, why: Incident) -> None:
        if why.kind != self._withheld:  # once per incident
            self._withheld = why.kind
            logger.warning("backwatch: no heartbeat is sent: %s", why.message)


def _open_events(connection: sa.Connection) -> dict[str, str]:
    """Return the id of the newest event of each kind of incident that is not over."""
    table = tables.event
    query = sa.select(table.c.id, table.c.kind, table.c.body).where(
        table.c.alert_id == _NO_ALERT, table.c.kind.in_((SILENT, RESUMED))
    )
    over, found = set[str](), dict[str, str]()
    for row in connection.execute(query.order_by(table.c.created_ns.desc(), table.c.kind).limit(MAX_EVENTS_READ)):
        data = json.loads(row.body)["data"]
        if row.kind == RESUMED:
            over.add(data["incident"])
        elif row.id not in over:
            found.setdefault(data["kind"], row.id)
    return found


def _build_silent_event(incident: Incident, now_ns: int) -> dict[str, Any]:
    # The same rows may be found silent twice: after a restore, or where a group that was renamed gets its name back.
    event_id = _event_id(incident.kind, str(incident.since_ns), str(now_ns))
    data = {
        "incident": event_id, "kind": incident.kind, "level": LEVELS[-1], "title": "Backwatch Does Not Judge All Calls",
        "message": incident.message, "reason": incident.reason, "member": incident.member,
        "since": format_moment(incident.since_ns),
    }  # fmt: skip
    return _row(event_id, SILENT, LEVELS[-1], data, now_ns)


def _build_resumed_event(kind: str, event_id: str, now_ns: int) -> dict[str, Any]:
    data = {
        "incident": event_id, "kind": kind, "level": LEVELS[0], "title": "Backwatch Judges Calls Again",
        "message": f"What was reported as {kind} has been well for {RESUMED_AFTER_S / 60:.0f} minutes.",
    }  # fmt: skip
    return _row(_event_id("resumed", event_id), RESUMED, LEVELS[0], data, now_ns)


def _row(event_id: str, kind: str, level: str, data: Mapping[str, Any], now_ns: int) -> dict[str, Any]:
    return {
        "id": event_id, "alert_id": _NO_ALERT, "episode": 0, "kind": kind, "level_rank": LEVELS.index(level),
        "body": _body(kind, data, now_ns), "created_ns": now_ns, "routed_ns": None,
    }  # fmt: skip


def _body(kind: str, data: Mapping[str, Any], now_ns: int) -> str:
    payload = {"type": kind, "timestamp": format_moment(now_ns), "data": data}
    return json.dumps(payload, sort_keys=True, separators=(",", ":"))


def _event_id(*parts: str) -> str:
    """Return the webhook-id, which is the same for all notifiers: the row is written once per incident."""
    return hashlib.sha256("\x1e".join(("self-watch", *parts)).encode()).hexdigest()[:32]
