"""Flows in weekly partitions, activities, configuration, people, audit; adopts the tables of a gateway that has them.

Revision ID: 0001
"""

from alembic import context

from spanflow.migrations.scripts import down, up

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for script in up(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)


def downgrade() -> None:
    for script in down(revision, context.config.attributes["schema"]):
        context.config.attributes["execute"](script)
