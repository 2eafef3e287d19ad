"""Stores which kind of denial or error a flow was answered with.

Revision ID: 0004
"""

from alembic import context

from spanflow.migrations.scripts import down, up

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for script in up(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)


def downgrade() -> None:
    for script in down(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)
