"""Counts what gateways have lost.

Revision ID: 0012
"""

from alembic import context

from spanflow.migrations.scripts import down, up

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for script in up(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)


def downgrade() -> None:
    for script in down(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)
