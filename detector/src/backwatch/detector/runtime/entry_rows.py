"""Numbered entries of the store as the engine takes them: losses, decisions, models and profiles."""

from sqlalchemy import Connection

from backwatch.detector.engine.log_entries import Decision, LogEntry, Loss, ModelVersion, ProfileVersion
from backwatch.detector.profile.document import read_announced
from backwatch.store import entries, models


def read_entry(row: entries.EntryRow, connection: Connection, partition: int) -> LogEntry | None:
    """Return the log entry for the shard of this partition; ``None`` if it does not concern it."""
    body = row.body
    if row.kind == "loss" and partition == 0:  # every shard sees every entry; one loss is one finding
        return Loss(str(body.get("kind", "delivery")), int(body.get("count", 1)), row.at_ns, counted=True)
    if row.kind == "decision":
        return Decision(
            row.id, body["kind"], body["alert_id"], int(body.get("until_ns") or 0), body.get("rule", ""),
            body.get("resource_id", ""), body.get("values"), bool(body.get("closes", True)),
        )  # fmt: skip
    if row.kind == "model":
        return ModelVersion(body["detector"], body["sha256"], models.arrays(connection, body["sha256"]))
    if row.kind == "profile":
        return ProfileVersion(body["app"], body["sha256"], read_announced(body.get("announced", ())))
    return None
