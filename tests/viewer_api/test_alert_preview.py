"""What a preview counts is what the evaluator would have told, over any history of flows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from spanflow.viewer_api.alerts.measures import Measures, RunningFlow
from spanflow.viewer_api.alerts.preview import Previewer
from spanflow.viewer_api.alerts.rule import Definition, Rule
from spanflow.viewer_api.alerts.state_machine import Memory, step
from spanflow.viewer_api.store.database import Database
from spanflow.viewer_api.store.flow_filters import Filters
from tests.support.history import run_with
from tests.support.query import script

UNTIL = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
SINCE = UNTIL - timedelta(minutes=10)
EVERY = 10.0
#: When each ended, in seconds after an hour before the range; how long it took; what became of it; spans that are gone.
Ended = tuple[int, int, str, int]


class NothingRuns:
    """All flows of these histories have ended."""

    async def older_than(self, seconds: float, filters: Filters, now: datetime) -> Sequence[RunningFlow]:
        return ()

    async def any(self, filters: Filters, now: datetime) -> bool:
        return False


#: In steps of the evaluation, so that they often lie on the edge of a window, and beside it.
ENDS = st.one_of(st.integers(0, 420).map(lambda number: number * 10), st.integers(0, 4200))
OUTCOMES = st.sampled_from(["ok", "ok", "ok", "error", "denied", "interrupted"])
HISTORIES = st.lists(st.tuples(ENDS, st.sampled_from([1, 2, 5, 60]), OUTCOMES, st.sampled_from([0, 0, 3])), max_size=40)
WINDOWS = st.sampled_from([60, 100, 300])
CONDITIONS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"kind": st.just("longer_than"), "alert": st.just(5000), "window_seconds": WINDOWS}),
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["error_rate", "denial_rate"]),
            "alert": st.sampled_from([0.5, 1]),
            "warning": st.sampled_from([None, 0.2]),
            "min_samples": st.integers(1, 3),
            "window_seconds": WINDOWS,
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("slower_than_usual"),
            "alert": st.just(2),
            "min_samples": st.just(5),
            "baseline_seconds": st.just(3600),
            "window_seconds": WINDOWS,
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("losses"),
            "of": st.just(["interrupted", "cut"]),
            "alert": st.just(2),
            "window_seconds": WINDOWS,
        }
    ),
)
RULES = st.fixed_dictionaries(
    {
        "name": st.just("x"),
        "condition": CONDITIONS,
        "for_seconds": st.sampled_from([0, 30]),
        "resolve_seconds": st.sampled_from([0, 60]),
        "cooldown_seconds": st.sampled_from([0, 300]),
        "no_data": st.sampled_from(["keep", "ok", "alert"]),
    }
)
LOST_AT_THE_EDGE = {"name": "x", "condition": {"kind": "losses", "of": ["cut"], "window_seconds": 60}}


def stored(dsn: str, flows: list[Ended]) -> None:
    begin = SINCE - timedelta(hours=1)
    rows = []
    for number, (at, took, outcome, cut) in enumerate(flows, 1):
        ended = begin + timedelta(seconds=at)
        started = f"timestamptz '{(ended - timedelta(seconds=took)).isoformat()}'"
        rows.append(
            f"('{number:032x}', {started}, {started}, '{ended.isoformat()}', '{ended.isoformat()}', '{outcome}', "
            f"{took * 1000}, {cut})"
        )
    columns = "flow_id, start_key, started_at, ended_at, completed_at, outcome, duration_ms, cut_spans"
    script(dsn, "TRUNCATE omni2.interaction_flows, omni2.flow_keys")
    if rows:
        script(dsn, f"INSERT INTO omni2.interaction_flows ({columns}) VALUES {', '.join(rows)}")


async def told(database: Database, definition: Definition) -> list[dict[str, Any]]:
    """What the evaluator says in each of its rounds, with the statements that it asks Postgres with."""
    rule = Rule("0123456789abcdef", definition, True, None, 1, SINCE, "admin", SINCE, "admin")
    measures = Measures(database, database, NothingRuns())
    memory, events, now = Memory.fresh(SINCE), [], SINCE
    while now <= UNTIL:
        verdict = definition.condition.judge(await measures.observe(rule, now))
        memory, transitions = step(memory, verdict, definition, now)
        events += [
            {
                "at": now,
                "kind": transition.kind,
                "level": transition.level,
                "value": memory.value,
                "threshold": memory.threshold,
                "suppressed": transition.suppressed,
                "flow_ids": sorted(verdict.flow_ids),
            }
            for transition in transitions
        ]
        now += timedelta(seconds=EVERY)
    return events


@given(HISTORIES, RULES)
@example([(3600 + 100, 1, "ok", 3)], LOST_AT_THE_EDGE)
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_preview_tells_what_the_evaluator_would_have_told(
    postgres_dsn: str, flows: list[Ended], rule: dict[str, Any]
) -> None:
    definition = Definition.model_validate(rule)
    stored(postgres_dsn, flows)

    async def both(database: Database) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        previewer = Previewer(database, database, EVERY)
        return await previewer.preview(definition, SINCE, UNTIL, UNTIL), await told(database, definition)

    preview, events = run_with(postgres_dsn, both)
    found = [{**event, "flow_ids": sorted(event["flow_ids"])} for event in preview["events"]]
    assert found == events
    assert preview["fired"] == sum(event["kind"] == "firing" for event in events)
    assert preview["notifications"] == sum(event["suppressed"] is None for event in events)
