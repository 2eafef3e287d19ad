"""Adds alerts.

Revision ID: 0009
"""

from alembic import context

from spanflow.migrations.scripts import down, up

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for script in up(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)


def downgrade() -> None:
    for script in down(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)
