"""Rolls statistics up to six hours and weeks as well.

Revision ID: 0013
"""

from alembic import context

from spanflow.migrations.scripts import down, up

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for script in up(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)


def downgrade() -> None:
    for script in down(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)
