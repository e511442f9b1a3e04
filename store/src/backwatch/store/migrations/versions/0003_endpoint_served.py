"""When an endpoint was last served.

Revision 0003. It shows which events were routed without an endpoint, and which endpoints have no notifier.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column."""
    with op.batch_alter_table("backwatch_endpoint") as batch:
        batch.add_column(sa.Column("served_ns", sa.BigInteger, nullable=False, server_default="0"))
