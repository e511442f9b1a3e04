"""Numbered entries of the store as the engine takes them: losses, decisions, models and profiles."""

from sqlalchemy import Connection

from backwatch.detector.engine.log_entries import Approved, Decision, LogEntry, Loss, ModelVersion, ProfileVersion
from backwatch.detector.profile.document import Profile, read_announced, read_plain
from backwatch.store import entries, models, profiles


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
        approved = (
            to_approved(read_plain(profiles.get_enforced(connection, body["enforced"]))) if "enforced" in body else None
        )
        return ProfileVersion(body["app"], body["sha256"], read_announced(body.get("announced", ())), approved)
    return None


def to_entry(profile: Profile) -> ProfileVersion:
    """Return the log entry that enforces a profile."""
    announced = read_announced([resource.plain() for resource in profile.announced])
    return ProfileVersion(profile.app, profile.sha256, announced, to_approved(profile))


def to_approved(profile: Profile) -> Approved:
    """Return what a profile approves, as the engine takes it."""
    exceptions = profile.exceptions
    return Approved(
        statements=(
            *((entry.site, entry.statement, 0) for entry in profile.statements),
            *((entry.site, entry.statement, entry.until_ns) for entry in exceptions if entry.statement),
        ),
        destinations=(
            *((entry.site, entry.destination, 0) for entry in profile.destinations),
            *((entry.site, entry.destination, entry.until_ns) for entry in exceptions if entry.destination),
        ),
    )
