"""What Alembic runs: the connection, and the transaction around everything, come from `run.py`."""

from alembic import context

from spanflow.migrations.scripts import VERSION_TABLE

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema=attributes["schema"],
)
with context.begin_transaction():
    context.run_migrations()
