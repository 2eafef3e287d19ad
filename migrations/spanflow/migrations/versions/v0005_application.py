"""An application's own tables stay usable: its configuration where it is, its flows and activities kept in step.

Revision ID: 0005
"""

from alembic import context

from spanflow.migrations.scripts import down, up

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for script in up(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)


def downgrade() -> None:
    for script in down(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)
