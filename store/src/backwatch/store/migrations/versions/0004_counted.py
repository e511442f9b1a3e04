"""What an open page counts is counted in indexes.

Revision 0004. At 100,000 alerts the overview read every alert's row, evidence and all, several times every few seconds.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATE = ("raised", "episode", "closed_episode", "acknowledged_episode", "muted_until_ns")


def upgrade() -> None:
    """Adds the indexes."""
    op.create_index("ix_backwatch_alert_level_state", "backwatch_alert", ["level", *STATE])
    op.create_index("ix_backwatch_alert_rule_state", "backwatch_alert", ["rule", *STATE])
    op.create_index("ix_backwatch_alert_id_level", "backwatch_alert", ["id", "level"])
    op.create_index("ix_backwatch_alert_app", "backwatch_alert", ["app"])
    op.create_index("ix_backwatch_episode_opened_ns_alert_id", "backwatch_episode", ["opened_ns", "alert_id"])
    op.drop_index("ix_backwatch_episode_opened_ns", "backwatch_episode")
