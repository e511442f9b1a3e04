"""A shard keeps which topic its offset counts in, which leader wrote the last record, and which member holds it.

Revision 0008. A log whose tail was cut was read again from its beginning, because it looked like a recreated topic.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; empty until a detector has committed."""
    with op.batch_alter_table("backwatch_shard") as batch:
        batch.add_column(sa.Column("topic_id", sa.String(64), nullable=False, server_default=""))
        batch.add_column(sa.Column("leader_epoch", sa.BigInteger, nullable=False, server_default="-1"))
        batch.add_column(sa.Column("log_seq", sa.BigInteger, nullable=False, server_default="-1"))
        batch.add_column(sa.Column("owner", sa.String(32), nullable=False, server_default=""))
