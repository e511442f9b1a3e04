"""The first tables.

Revision 0001. A frozen copy of what ``tables.py`` was then: a migration must not change when the tables do. Its names
alone did: ``legacy.py`` renames the tables of a store from before the prefix.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _big(name: str, *, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=nullable)


def _id(name: str, length: int = 64) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length), primary_key=True)


sa.Table("backwatch_meta", metadata, _text("name"), sa.Column("value", sa.LargeBinary, nullable=False),
                sa.PrimaryKeyConstraint("name"))  # fmt: skip
sa.Table(
    "backwatch_shard", metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    _big("seq"), _big("next_offset"), _big("watermark_ns"), _big("entry_id"),
    _big("updated_ns"),
)  # fmt: skip
sa.Table(
    "backwatch_shard_snapshot", metadata,
    sa.Column("shard", sa.Integer, sa.ForeignKey("backwatch_shard.id"), primary_key=True, autoincrement=False),
    _big("seq"), sa.Column("blob", sa.LargeBinary, nullable=False),
)  # fmt: skip
sa.Table(
    "backwatch_shard_delta", metadata,
    sa.Column("shard", sa.Integer, sa.ForeignKey("backwatch_shard.id"), primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("blob", sa.LargeBinary, nullable=False),
)  # fmt: skip
sa.Table(
    "backwatch_counter", metadata,
    sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(8), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    _big("value"),
)  # fmt: skip
sa.Table(
    "backwatch_entry_number", metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False), _big("last"),
)  # fmt: skip
sa.Table(
    "backwatch_entry", metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(16), nullable=False), _text("body"), _big("at_ns"), _text("by"),
)  # fmt: skip
sa.Table(
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
sa.Table(
    "backwatch_occurrence", metadata,
    sa.Column("alert_id", sa.String(64), sa.ForeignKey("backwatch_alert.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("episode", sa.Integer, nullable=False), _big("time_ns"),
    sa.Column("trace_id", sa.String(32), nullable=False), sa.Column("span_id", sa.String(16), nullable=False),
    _text("evidence"),
)  # fmt: skip
sa.Table(
    "backwatch_episode", metadata,
    sa.Column("alert_id", sa.String(64), sa.ForeignKey("backwatch_alert.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    _big("opened_ns"), _big("cleared_ns", nullable=True),
)  # fmt: skip
sa.Table(
    "backwatch_decision", metadata,
    sa.Column("entry_id", sa.BigInteger, sa.ForeignKey("backwatch_entry.id"), primary_key=True, autoincrement=False),
    sa.Column("alert_id", sa.String(64), nullable=False), sa.Column("episode", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False), _text("by"), _text("why"), _big("until_ns"), _big("at_ns"),
)  # fmt: skip
sa.Table(
    "backwatch_event", metadata,
    _id("id", 32), sa.Column("alert_id", sa.String(64), nullable=False),
    sa.Column("episode", sa.Integer, nullable=False), sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("level_rank", sa.SmallInteger, nullable=False),
    _text("body"), _big("created_ns"), _big("routed_ns", nullable=True),
)  # fmt: skip
sa.Table(
    "backwatch_endpoint", metadata,
    _id("name", 200), _big("since_ns"), _big("paused_until_ns"), _big("disabled_ns", nullable=True), _text("reason"),
)  # fmt: skip
sa.Table(
    "backwatch_delivery", metadata,
    sa.Column("event_id", sa.String(32), sa.ForeignKey("backwatch_event.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("endpoint", sa.String(200), sa.ForeignKey("backwatch_endpoint.name"), primary_key=True),
    sa.Column("state", sa.String(12), nullable=False), sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False), _big("created_ns"), _big("first_try_ns", nullable=True),
    _big("next_ns"), _big("locked_until_ns"), _big("done_ns", nullable=True), _text("outcome"),
)  # fmt: skip
sa.Table(
    "backwatch_resource", metadata,
    _id("id"), _text("app"), _text("system"), _text("endpoint"), _text("namespace"),
    _big("first_ns"), _big("last_ns"), _big("calls"), _big("errors"), _text("facts"),
)  # fmt: skip
sa.Table(
    "backwatch_rollup", metadata,
    _id("resource_id"), sa.Column("end_ns", sa.BigInteger, primary_key=True, autoincrement=False),
    *(_big(name) for name in ("calls", "errors", "suspects", "bytes_sent", "bytes_received", "rows_returned",
                              "rows_affected", "duration_ns", "new_statements")),
)  # fmt: skip
sa.Table(
    "backwatch_quarantine", metadata,
    _id("topic", 249), sa.Column("partition_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("record_offset", sa.BigInteger, primary_key=True, autoincrement=False),
    _text("reason"), sa.Column("value", sa.LargeBinary, nullable=False), _big("appended_ns"), _big("kept_ns"),
)  # fmt: skip
sa.Table(
    "backwatch_rule", metadata,
    _id("name", 200), _text("title"), sa.Column("level", sa.String(16), nullable=False), _text("tags"),
    _text("description"), _text("blind_spots"), _text("remediation"), _text("falsepositives"), _text("references"),
)  # fmt: skip
sa.Table(
    "backwatch_model", metadata, _id("sha256"), sa.Column("blob", sa.LargeBinary, nullable=False), _big("created_ns"),
)  # fmt: skip

tables = metadata.tables
sa.Index(None, tables["backwatch_alert"].c.last_ns, tables["backwatch_alert"].c.id)
sa.Index(None, tables["backwatch_alert"].c.resource_id)
sa.Index(None, tables["backwatch_alert"].c.raised)
sa.Index(None, tables["backwatch_occurrence"].c.time_ns)
sa.Index(None, tables["backwatch_episode"].c.opened_ns)
sa.Index(None, tables["backwatch_decision"].c.alert_id)
sa.Index(None, tables["backwatch_event"].c.routed_ns, tables["backwatch_event"].c.created_ns)
sa.Index(None, tables["backwatch_event"].c.alert_id)
sa.Index(
    None,
    tables["backwatch_delivery"].c.endpoint,
    tables["backwatch_delivery"].c.state,
    tables["backwatch_delivery"].c.next_ns,
)
sa.Index(None, tables["backwatch_rollup"].c.end_ns)


def upgrade() -> None:
    """Makes the tables."""
    bind = op.get_bind()
    metadata.create_all(bind, checkfirst=False)
    op.bulk_insert(tables["backwatch_entry_number"], [{"id": 1, "last": 0}])
    if bind.dialect.name == "postgresql":
        for name in ("shard_snapshot", "shard_delta", "model"):
            # Compressed already: neither try again nor rewrite in part.
            op.execute(f"ALTER TABLE backwatch_{name} ALTER COLUMN blob SET STORAGE EXTERNAL")
