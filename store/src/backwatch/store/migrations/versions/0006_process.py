"""The watched processes of apps.

Revision 0006. A process whose collector fell silent went unnoticed: heartbeats were read for their drop counts only.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "backwatch_process",
        sa.Column("id", sa.String(64), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("instance", "app", "host")),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("parent", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("since_ns", "started_ns", "first_ns", "heard_ns")
        ),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("interval_ns", "recorded", "delivered", "dropped")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_backwatch_process"),
    )
    op.create_index("ix_backwatch_process_heard_ns", "backwatch_process", ["heard_ns"])
