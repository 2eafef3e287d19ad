"""Counts flows and their steps by minute, hour and day.

Revision ID: 0007
"""

from alembic import context

from spanflow.migrations.scripts import down, up

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for script in up(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)


def downgrade() -> None:
    for script in down(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)
