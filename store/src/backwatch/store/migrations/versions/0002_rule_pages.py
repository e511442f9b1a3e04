"""Contents of a rule's page beyond its own fields.

Revision 0002. The detector fills it at its next start.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column."""
    with op.batch_alter_table("backwatch_rule") as batch:
        batch.add_column(sa.Column("page", sa.Text, nullable=False, server_default="{}"))
