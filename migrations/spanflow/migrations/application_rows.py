"""Takes over the rows that an application wrote before its tables were connected with ours.

Each batch is a transaction of its own, so that no row is locked for long while the application goes on writing. It can
be stopped at any time: what was taken over already is passed over by the next run.
"""

from typing import Final

import asyncpg

from spanflow.migrations.scripts import quoted

_TABLES: Final = ("interaction_flows", "user_activities")

#: The same for psql. Its blocks commit after every batch.
TAKE_ROWS: Final = """DO $take$
DECLARE
    wanted text;
    place  tid;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['interaction_flows', 'user_activities'] LOOP
        place := '(0,0)';
        WHILE place IS NOT NULL LOOP
            place := {schema}.take_application_rows(wanted, place);
            COMMIT;
        END LOOP;
    END LOOP;
END
$take$;
"""


async def take_rows(dsn: str, schema: str, patience: float) -> None:
    """Take over all rows that are not there yet."""
    connection = await asyncpg.connect(dsn, timeout=patience, statement_cache_size=0)
    try:
        for table in _TABLES:
            place: object = "(0,0)"
            while place is not None:
                place = await connection.fetchval(
                    f"SELECT {quoted(schema)}.take_application_rows($1, $2::text::tid)::text", table, place
                )
    finally:
        await connection.close()
