"""Every table of the store, as SQLAlchemy Core. The migrations make them; a test holds the two against each other.

Times are ``…_ns``: nanoseconds since the epoch, UTC. JSON is kept as text, written sorted and in ASCII, so that the
same commit gives the same bytes on every engine. What the engine writes of an alert and what people write of it are
different columns: neither ever writes the other's, and the state that is shown is derived from both.

Every table bears the prefix ``backwatch_``, and so do indexes and constraints: the database may belong to an app that
has a table ``alert``, and migrations of its own.
"""

from typing import Final

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

PREFIX: Final = "backwatch_"
"""Begins the name of every table."""
VERSION_TABLE: Final = "backwatch_version"
"""Where Alembic keeps the revision of these tables; an app's own is ``alembic_version``."""
FOREVER: Final = 2**63 - 1
"""``until_ns`` of a decision without an end."""


def _big(name: str, *, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=nullable)


def _id(name: str, length: int = 64) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length), primary_key=True)


meta = sa.Table("backwatch_meta", metadata, _text("name"), sa.Column("value", sa.LargeBinary, nullable=False),
                sa.PrimaryKeyConstraint("name"))  # fmt: skip

shard = sa.Table(
    "backwatch_shard", metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    _big("seq"), _big("next_offset"), _big("watermark_ns"), _big("entry_id"),
    _big("updated_ns"),
    sa.Column("topic_id", sa.String(64), nullable=False, server_default=""),
    sa.Column("leader_epoch", sa.BigInteger, nullable=False, server_default="-1"),
    sa.Column("log_seq", sa.BigInteger, nullable=False, server_default="-1"),
    sa.Column("owner", sa.String(32), nullable=False, server_default=""),
)  # fmt: skip
"""One row per partition of the stream. ``seq`` is the fence; ``updated_ns`` is wall time, for people only.

``topic_id``: the topic in which ``next_offset`` counts; ``leader_epoch``: of the record before it (-1: not known). A
topic that was made anew has another id; a log whose tail was cut goes on in a later epoch. ``log_seq``: the ``seq``
that wrote both; a commit of an older release leaves all three as they were, and then none of them counts. ``owner``:
who loaded the shard last, and may write the progress of its partition."""

shard_snapshot = sa.Table(
    "backwatch_shard_snapshot", metadata,
    sa.Column("shard", sa.Integer, sa.ForeignKey("backwatch_shard.id"), primary_key=True, autoincrement=False),
    _big("seq"), sa.Column("blob", sa.LargeBinary, nullable=False),
)  # fmt: skip

shard_delta = sa.Table(
    "backwatch_shard_delta", metadata,
    sa.Column("shard", sa.Integer, sa.ForeignKey("backwatch_shard.id"), primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("blob", sa.LargeBinary, nullable=False),
)  # fmt: skip

counter = sa.Table(
    "backwatch_counter", metadata,
    sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(8), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    _big("value"),
)  # fmt: skip
"""``kind`` is ``loss`` or ``counter``."""

entry_number = sa.Table(
    "backwatch_entry_number", metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False), _big("last"),
)  # fmt: skip
"""One row, locked by each append: so numbers are gapless and become visible in their order."""

entry = sa.Table(
    "backwatch_entry", metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(16), nullable=False), _text("body"), _big("at_ns"), _text("by"),
)  # fmt: skip

alert = sa.Table(
    "backwatch_alert", metadata,
    _id("id"), _text("rule"), sa.Column("level", sa.String(16), nullable=False),
    sa.Column("level_rank", sa.SmallInteger, nullable=False),
    sa.Column("resource_id", sa.String(64), nullable=False), _text("app"), _text("resource"), _text("key"),
    # the engine's
    sa.Column("raised", sa.Boolean, nullable=False), sa.Column("episode", sa.Integer, nullable=False),
    _big("count"), _big("first_ns"), _big("last_ns"), _big("opened_ns"), _big("cleared_ns", nullable=True),
    _text("evidence"),
    # people's
    sa.Column("acknowledged_episode", sa.Integer, nullable=False, server_default="0"),
    sa.Column("closed_episode", sa.Integer, nullable=False, server_default="0"),
    sa.Column("muted_until_ns", sa.BigInteger, nullable=False, server_default="0"),
)  # fmt: skip
"""One row per rule and key. ``count`` and ``first_ns`` are of all episodes, ``opened_ns`` and ``cleared_ns`` of the
last;
a person's acknowledgement or closing holds for the episode that it names: a new opening voids it without a write."""

occurrence = sa.Table(
    "backwatch_occurrence", metadata,
    sa.Column("alert_id", sa.String(64), sa.ForeignKey("backwatch_alert.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("episode", sa.Integer, nullable=False), _big("time_ns"),
    sa.Column("trace_id", sa.String(32), nullable=False), sa.Column("span_id", sa.String(16), nullable=False),
    _text("evidence"),
)  # fmt: skip
"""A ring: the newest 50 of an alert, and the first of each thing that its episode showed of an identity. ``number``
orders them, up to the alert's ``count``."""

episode = sa.Table(
    "backwatch_episode", metadata,
    sa.Column("alert_id", sa.String(64), sa.ForeignKey("backwatch_alert.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    _big("opened_ns"), _big("cleared_ns", nullable=True),
)  # fmt: skip

decision = sa.Table(
    "backwatch_decision", metadata,
    sa.Column("entry_id", sa.BigInteger, sa.ForeignKey("backwatch_entry.id"), primary_key=True, autoincrement=False),
    sa.Column("alert_id", sa.String(64), nullable=False), sa.Column("episode", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False), _text("by"), _text("why"), _big("until_ns"), _big("at_ns"),
)  # fmt: skip
"""The audit: only ever added to, and kept when its alert goes."""

event = sa.Table(
    "backwatch_event", metadata,
    _id("id", 32), sa.Column("alert_id", sa.String(64), nullable=False),
    sa.Column("episode", sa.Integer, nullable=False), sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("level_rank", sa.SmallInteger, nullable=False),
    _text("body"), _big("created_ns"), _big("routed_ns", nullable=True),
)  # fmt: skip
"""What notify delivers. ``id`` is the webhook-id; ``body`` is frozen when the event comes true."""

endpoint = sa.Table(
    "backwatch_endpoint", metadata,
    _id("name", 200), _big("since_ns"), _big("paused_until_ns"), _big("disabled_ns", nullable=True), _text("reason"),
    sa.Column("served_ns", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("critical_paused_until_ns", sa.BigInteger, nullable=False, server_default="0"),
)  # fmt: skip
"""Where notify delivers to. Events older than ``since_ns`` are not for it; what answered 410 is disabled.
``served_ns``: when its delivery worker made its last round, and it had a delivery for all that was routed by then.
``critical_paused_until_ns``: the pause of critical deliveries, which another delivery's failure does not pause."""

delivery = sa.Table(
    "backwatch_delivery", metadata,
    sa.Column("event_id", sa.String(32), sa.ForeignKey("backwatch_event.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("endpoint", sa.String(200), sa.ForeignKey("backwatch_endpoint.name"), primary_key=True),
    sa.Column("state", sa.String(12), nullable=False), sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False), _big("created_ns"), _big("first_try_ns", nullable=True),
    _big("next_ns"), _big("locked_until_ns"), _big("done_ns", nullable=True), _text("outcome"),
    sa.Column("level_rank", sa.SmallInteger, nullable=False, server_default="0"),
)  # fmt: skip
"""``state``: pending, delivered, rejected (the receiver will never take it), expired (given up), muted, held (for a
digest, beyond the endpoint's budget), digested (a digest counts it)."""

resource = sa.Table(
    "backwatch_resource", metadata,
    _id("id"), _text("app"), _text("system"), _text("endpoint"), _text("namespace"),
    _big("first_ns"), _big("last_ns"), _big("calls"), _big("errors"), _text("facts"),
)  # fmt: skip

rollup = sa.Table(
    "backwatch_rollup", metadata,
    _id("resource_id"), sa.Column("end_ns", sa.BigInteger, primary_key=True, autoincrement=False),
    *(_big(name) for name in ("calls", "errors", "suspects", "bytes_sent", "bytes_received", "rows_returned",
                              "rows_affected", "duration_ns", "new_statements")),
)  # fmt: skip

quarantine = sa.Table(
    "backwatch_quarantine", metadata,
    _id("topic", 249), sa.Column("partition_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("record_offset", sa.BigInteger, primary_key=True, autoincrement=False),
    _text("reason"), sa.Column("value", sa.LargeBinary, nullable=False), _big("appended_ns"), _big("kept_ns"),
)  # fmt: skip

rule = sa.Table(
    "backwatch_rule", metadata,
    _id("name", 200), _text("title"), sa.Column("level", sa.String(16), nullable=False), _text("tags"),
    _text("description"), _text("blind_spots"), _text("remediation"), _text("falsepositives"), _text("references"),
    sa.Column("page", sa.Text, nullable=False, server_default="{}"),
)  # fmt: skip
"""The detector's rules, written at its start; ``tags``, ``falsepositives`` and ``references`` are JSON lists, ``page``
is a JSON mapping of the other contents of the rule's page."""

model = sa.Table(
    "backwatch_model", metadata, _id("sha256"), sa.Column("blob", sa.LargeBinary, nullable=False), _big("created_ns"),
)  # fmt: skip

partition_progress = sa.Table(
    "backwatch_partition_progress", metadata,
    _id("consumer_group", 200), _id("topic", 249),
    sa.Column("partition_id", sa.Integer, primary_key=True, autoincrement=False),
    _big("next_offset"), _big("end_offset"), _big("advanced_ns"), _big("updated_ns"), _text("member"), _text("reason"),
)  # fmt: skip
"""How far each consumer group has read each partition: the lag is ``end_offset - next_offset`` records.

``advanced_ns``: when ``next_offset`` last changed or the lag was last 0; ``updated_ns``: when the row was written; both
wall time. ``member``: host and process of the group's member; ``reason``: why it does not advance, or empty."""

process = sa.Table(
    "backwatch_process", metadata,
    _id("id"), _text("instance"), _text("app"), _text("host"), _big("pid"), _text("parent"),
    sa.Column("state", sa.String(16), nullable=False),
    *(_big(name) for name in ("since_ns", "started_ns", "first_ns", "heard_ns", "interval_ns", "recorded", "delivered",
                              "dropped")),
)  # fmt: skip
"""The watched processes of apps, by a hash of app and instance. ``heard_ns`` is kept to the minute."""

sa.Index(None, alert.c.last_ns, alert.c.id)
sa.Index(None, alert.c.resource_id)
sa.Index(None, alert.c.raised)
# The whole of what an open page counts every few seconds: an alert's row, with its evidence, is read for none of it.
_STATE: Final = (
    alert.c.raised, alert.c.episode, alert.c.closed_episode, alert.c.acknowledged_episode, alert.c.muted_until_ns,
)  # fmt: skip
sa.Index("ix_backwatch_alert_level_state", alert.c.level, *_STATE)
sa.Index("ix_backwatch_alert_rule_state", alert.c.rule, *_STATE)
sa.Index("ix_backwatch_alert_id_level", alert.c.id, alert.c.level)
sa.Index("ix_backwatch_alert_app", alert.c.app)
sa.Index(None, occurrence.c.time_ns)
sa.Index(None, episode.c.opened_ns, episode.c.alert_id)
sa.Index(None, decision.c.alert_id)
sa.Index(None, event.c.routed_ns, event.c.level_rank, event.c.created_ns)
sa.Index(None, event.c.alert_id)
sa.Index(None, delivery.c.endpoint, delivery.c.state, delivery.c.level_rank, delivery.c.next_ns)
sa.Index(None, delivery.c.endpoint, delivery.c.created_ns)
sa.Index(None, rollup.c.end_ns)
sa.Index(None, process.c.heard_ns)
