"""The statements that write statistics."""

from dataclasses import dataclass
from typing import Final

from spanflow.span_processors import names

#: Kinds of one period; what is beyond that is counted as `OTHER`. Plain spans, whose names are unbounded, go first.
MAX_KINDS: Final = 500
OTHER: Final = "(other)"

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
SUMMED: Final = ", ".join(
    f"sum({name})::{kind} AS {name}" if kind == "bigint" else f"sum({name}) AS {name}" for name, kind in _SUMS
)
#: The same with histograms as clients read them.
SUMMED_AS_TEXT: Final = SUMMED.replace("sum(buckets) AS", "sum(buckets)::text AS")


@dataclass(frozen=True, slots=True)
class Table:
    """The statements for one of the two tables. `$1` is the length of a period, `$2` its beginning."""

    clear: str
    #: `$3` and so on are columns of kinds and their sums.
    insert: str
    #: From periods of the length `$3` that lie before `$4`.
    roll_up: str


def _table(table: str, keys: dict[str, str | None], ranked: str) -> Table:
    """`keys` has what becomes of each column of a kind that is beyond the limit; `ranked` numbers the kinds, and puts
    whatever it needs for that beside them."""
    name, columns = f"{{s}}.{table}", [*((key, "text") for key in keys), *_SUMS]
    every = ", ".join(column for column, _ in columns)
    given = [
        f"${place}::{'text' if column in _AS_TEXT else kind}[]" for place, (column, kind) in enumerate(columns, start=3)
    ]
    read = ", ".join(f"{column}::{kind}" if column in _AS_TEXT else column for column, kind in columns)
    folded = ", ".join(
        key if other is None else f"CASE WHEN {other} THEN '{OTHER}' ELSE {key} END" for key, other in keys.items()
    )
    places = ", ".join(str(place) for place in range(3, 3 + len(keys)))
    insert = f"""
INSERT INTO {name} (seconds, start, {every})
SELECT $1::integer, $2::timestamptz, {folded}, {SUMMED} FROM ({ranked}) AS ranked GROUP BY {places}
"""
    return Table(
        clear=f"DELETE FROM {name} WHERE seconds = $1 AND start = $2",
        insert=f"WITH given AS (SELECT {read} FROM unnest({', '.join(given)}) AS given ({every})){insert}",
        roll_up=f"""
WITH given AS (
    SELECT {", ".join(keys)}, {SUMMED} FROM {name}
    WHERE seconds = $3 AND start >= $2 AND start < $4 GROUP BY {", ".join(keys)}
){insert}""",
    )


_BEYOND: Final = f"place > {MAX_KINDS}"
STEPS: Final = _table(
    "step_statistics",
    {
        "event_type": f"{_BEYOND} AND event_type <> '{names.PLAIN_SPAN}'",
        "name": _BEYOND,
        "mcp_server": _BEYOND,
        "tool": _BEYOND,
        "model": _BEYOND,
        "outcome": None,
    },
    f"""
    SELECT *, row_number() OVER (
        ORDER BY name = '{OTHER}', event_type = '{names.PLAIN_SPAN}', count DESC, timed DESC,
                 event_type, name, mcp_server, tool, model, outcome
    ) AS place FROM given""",
)
FLOWS: Final = _table(
    "flow_statistics",
    {"dimension": None, "value": _BEYOND, "outcome": None},
    f"""
    SELECT *, dense_rank() OVER (PARTITION BY dimension ORDER BY value = '{OTHER}', of_value DESC, value) AS place
    FROM (SELECT *, sum(count) OVER (PARTITION BY dimension, value) AS of_value FROM given) AS valued""",
)
