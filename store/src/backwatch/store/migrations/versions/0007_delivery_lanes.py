"""Deliveries are sent by level, and critical ones have a pause of their own.

Revision 0007. With 3,000 low events queued, a critical one had not been delivered after 22 seconds.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and the indexes by which the highest level is found first."""
    with op.batch_alter_table("backwatch_delivery") as batch:
        batch.add_column(sa.Column("level_rank", sa.SmallInteger, nullable=False, server_default="0"))
    with op.batch_alter_table("backwatch_endpoint") as batch:
        batch.add_column(sa.Column("critical_paused_until_ns", sa.BigInteger, nullable=False, server_default="0"))
    op.execute(
        "UPDATE backwatch_delivery SET level_rank = (SELECT level_rank FROM backwatch_event"
        " WHERE backwatch_event.id = backwatch_delivery.event_id) WHERE state = 'pending'"
    )
    op.create_index(
        "ix_backwatch_delivery_endpoint_state_level_rank_next_ns",
        "backwatch_delivery",
        ["endpoint", "state", "level_rank", "next_ns"],
    )
    op.drop_index("ix_backwatch_delivery_endpoint_state_next_ns", "backwatch_delivery")
    op.create_index("ix_backwatch_delivery_endpoint_created_ns", "backwatch_delivery", ["endpoint", "created_ns"])
    op.create_index(
        "ix_backwatch_event_routed_ns_level_rank_created_ns",
        "backwatch_event",
        ["routed_ns", "level_rank", "created_ns"],
    )
    op.drop_index("ix_backwatch_event_routed_ns_created_ns", "backwatch_event")
