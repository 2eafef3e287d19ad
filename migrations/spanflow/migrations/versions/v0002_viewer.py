"""What the viewer reads by: flows sorted and found by duration, tokens, cost and the time they lasted.

Revision ID: 0002
"""

from alembic import context

from spanflow.migrations.scripts import down, up

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for script in up(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)


def downgrade() -> None:
    for script in down(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)
