"""The statements that write statistics."""

from dataclasses import dataclass
from typing import Final

from spanflow.span_processors import names
from spanflow.span_processors.tree.costs import sql_total

#: Kinds of one period; what is beyond that is counted as `OTHER`. Plain spans, whose names are unbounded, go first.
MAX_KINDS: Final = 500
OTHER: Final = "(other)"
#: The tail of plain spans among flows by step: it says nothing of checkpoints, which come before them.
OTHER_SPANS: Final = f"{names.PLAIN_SPAN}:{OTHER}"

_SETTLED: Final = "(start + make_interval(secs => seconds) <= {moment} OR seconds > 60)"
HOURS: Final = f"""
SELECT date_bin('1 hour', start, 'epoch') AS hour FROM {{s}}.changed_periods
WHERE {_SETTLED.format(moment="$1")} GROUP BY hour ORDER BY hour DESC LIMIT $2
"""
TURN: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))"
TAKE: Final = f"""
DELETE FROM {{s}}.changed_periods WHERE start >= $1 AND start < $2 AND {_SETTLED.format(moment="$3")}
RETURNING start, seconds
"""
DROP_MINUTES: Final = """
WITH steps AS (DELETE FROM {s}.step_statistics WHERE seconds = 60 AND start >= $1 AND start < $2)
DELETE FROM {s}.flow_statistics WHERE seconds = 60 AND start >= $1 AND start < $2
"""
#: Flows that began in one of the minutes `{minutes}`.
IN_MINUTES: Final = "SELECT * FROM ({flows}) AS flow WHERE date_bin('1 minute', started_at, 'epoch') = ANY ({minutes})"
_SUMS: Final = (
    ("count", "bigint"),
    ("timed", "bigint"),
    ("total_ns", "numeric"),
    ("self_ns", "numeric"),
    ("tokens_in", "numeric"),
    ("tokens_out", "numeric"),
    ("cost", "double precision"),
    ("buckets", "numeric"),
)
#: Numbers longer than a client's integers travel as text.
_AS_TEXT: Final = frozenset(name for name, kind in _SUMS if kind == "numeric")
_ADDED: Final = {"bigint": "sum({})::bigint", "numeric": "sum({})", "double precision": sql_total("{}")}
SUMMED: Final = ", ".join(f"{_ADDED[kind].format(name)} AS {name}" for name, kind in _SUMS)
#: The same with histograms as clients read them.
SUMMED_AS_TEXT: Final = SUMMED.replace("sum(buckets) AS", "sum(buckets)::text AS")


@dataclass(frozen=True, slots=True)
class Table:
    """The statements for one of the two tables. `$1` is the length of periods."""

    #: The periods that begin at each of `$2`.
    clear: str
    #: `$2` and so on are columns: when the period begins, kinds, and their sums.
    insert: str
    #: Those that begin at each of `$2`, from periods of the length `$3`.
    roll_up: str


def _table(table: str, keys: dict[str, str], ranked: str) -> Table:
    """`keys` are the columns of a kind, with what becomes of those that are beyond the limit; `ranked` numbers the
    kinds, and puts whatever it needs for that beside them."""
    name, columns = f"{{s}}.{table}", [("start", "timestamptz"), *((key, "text") for key in keys), *_SUMS]
    every = ", ".join(column for column, _ in columns)
    given = [
        f"${place}::{'text' if column in _AS_TEXT else kind}[]" for place, (column, kind) in enumerate(columns, start=2)
    ]
    read = ", ".join(f"{column}::{kind}" if column in _AS_TEXT else column for column, kind in columns)
    folded = ", ".join(keys.values())
    places = ", ".join(str(place) for place in range(2, 3 + len(keys)))
    insert = f"""
INSERT INTO {name} (seconds, {every})
SELECT $1::integer, start, {folded}, {SUMMED} FROM ({ranked}) AS ranked GROUP BY {places}
"""
    own = ", ".join(keys)
    return Table(
        clear=f"DELETE FROM {name} WHERE seconds = $1 AND start = ANY ($2::timestamptz[])",
        insert=f"WITH given AS (SELECT {read} FROM unnest({', '.join(given)}) AS given ({every})){insert}",
        # Each period from a range of the index.
        roll_up=f"""
WITH given AS (
    SELECT longer.start, {own}, {SUMMED} FROM unnest($2::timestamptz[]) AS longer (start)
    CROSS JOIN LATERAL (
        SELECT * FROM {name} AS shorter
        WHERE seconds = $3 AND shorter.start >= longer.start
          AND shorter.start < longer.start + make_interval(secs => $1::integer)
    ) AS shorter
    GROUP BY longer.start, {own}
){insert}""",
    )


def _or_other(column: str, beyond: str = f"place > {MAX_KINDS}") -> str:
    return f"CASE WHEN {beyond} THEN '{OTHER}' ELSE {column} END"


_PLAIN: Final = f"event_type = '{names.PLAIN_SPAN}'"
STEPS: Final = _table(
    "step_statistics",
    {
        "event_type": _or_other("event_type", f"place > {MAX_KINDS} AND NOT {_PLAIN}"),
        **{column: _or_other(column) for column in ("name", "mcp_server", "tool", "model")},
        "outcome": "outcome",
    },
    f"""
    SELECT *, row_number() OVER (
        PARTITION BY start
        ORDER BY name = '{OTHER}', {_PLAIN}, count DESC, timed DESC,
                 event_type, name, mcp_server, tool, model, outcome
    ) AS place FROM given""",
)
_PLAIN_STEP: Final = f"(dimension = 'step' AND value ^@ '{names.PLAIN_SPAN}:')"
FLOWS: Final = _table(
    "flow_statistics",
    {
        "dimension": "dimension",
        "value": f"CASE WHEN place > {MAX_KINDS} AND {_PLAIN_STEP} THEN '{OTHER_SPANS}' ELSE {_or_other('value')} END",
        "outcome": "outcome",
    },
    f"""
    SELECT *, dense_rank() OVER (
        PARTITION BY start, dimension
        ORDER BY value IN ('{OTHER}', '{OTHER_SPANS}'), {_PLAIN_STEP}, of_value DESC, value
    ) AS place
    FROM (SELECT *, sum(count) OVER (PARTITION BY start, dimension, value) AS of_value FROM given) AS valued""",
)
