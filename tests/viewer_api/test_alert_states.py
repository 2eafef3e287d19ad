"""When a rule fires, resolves and flaps, and what of it is told: the state machine by a clock of its own."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.viewer_api.alerts.observation import Level, Verdict
from spanflow.viewer_api.alerts.rule import Definition
from spanflow.viewer_api.alerts.state_machine import EventKind, Memory, Phase, ended, step

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
VERDICTS = {
    ".": Verdict(None, value=0.0),
    "w": Verdict(Level.WARNING, value=1.0, threshold=1.0),
    "a": Verdict(Level.ALERT, value=2.0, threshold=2.0),
    "?": Verdict(None, no_data=True),
}


def definition(**changes: Any) -> Definition:
    plain: dict[str, Any] = {
        "name": "a rule",
        "condition": {"kind": "longer_than", "alert": 2, "warning": 1},
        "for_seconds": 0,
        "resolve_seconds": 0,
        "cooldown_seconds": 0,
        "flapping_changes": 100,
    }
    return Definition.model_validate(plain | changes)


def told(verdicts: str, snoozed: str = "", **changes: Any) -> list[str]:
    """The state after each verdict, ten seconds apart, and after it what was told; in brackets what was not."""
    rule, memory, lines = definition(**changes), Memory.fresh(START), []
    for number, letter in enumerate(verdicts):
        now = START + timedelta(seconds=10 * number)
        quiet = snoozed[number : number + 1] == "z"
        memory, transitions = step(memory, VERDICTS[letter], rule, now, snoozed=quiet)
        # What is stored is the whole of it.
        memory = Memory.read(memory.stored())
        words = [f"{each.kind}:{each.level}" for each in transitions if each.suppressed is None]
        words += [f"({each.kind}: {each.suppressed})" for each in transitions if each.suppressed]
        lines.append(" ".join([memory.phase, *words]))
    return lines


def test_it_fires_and_resolves_at_once_where_nothing_else_is_said() -> None:
    assert told(".a.") == snapshot(["ok", "firing firing:alert", "ok resolved:alert"])


def test_it_is_pending_until_the_condition_has_held_for_long_enough() -> None:
    assert told("a.aaa", for_seconds=20) == snapshot(["pending", "ok", "pending", "pending", "firing firing:alert"])


def test_it_resolves_when_the_condition_has_not_held_for_long_enough() -> None:
    assert told("a.a...", resolve_seconds=20) == snapshot(
        ["firing firing:alert", "resolving", "firing", "resolving", "resolving", "ok resolved:alert"]
    )


def test_a_warning_escalates_and_an_alert_that_eases_is_not_told() -> None:
    assert told("wawa.") == snapshot(
        ["firing firing:warning", "firing escalated:alert", "firing", "firing escalated:alert", "ok resolved:alert"]
    )


def test_within_the_cooldown_firing_is_kept_back_and_told_if_it_still_fires_then() -> None:
    assert told("a.a.aaa", cooldown_seconds=60) == snapshot(
        [
            "firing firing:alert",
            "ok resolved:alert",
            "firing (firing: cooldown)",
            "ok (resolved: not_announced)",
            "firing (firing: cooldown)",
            "firing",
            "firing firing:alert",
        ]
    )


def test_while_it_is_snoozed_nothing_is_told_and_what_still_fires_then_is() -> None:
    assert told("aaa.", snoozed="zz") == snapshot(
        ["firing (firing: snoozed)", "firing", "firing firing:alert", "ok resolved:alert"]
    )
    assert told("a.a.", snoozed=".z") == snapshot(
        ["firing firing:alert", "ok (resolved: snoozed)", "firing firing:alert", "ok resolved:alert"]
    )


def test_flapping_is_told_once_and_ends_when_it_is_steady() -> None:
    rule: dict[str, Any] = {"flapping_changes": 4, "flapping_seconds": 60}
    assert told("a.a.a.a.........", **rule) == snapshot(
        [
            "firing firing:alert",
            "ok resolved:alert",
            "firing firing:alert",
            "flapping flapping:None",
            "flapping",
            "flapping",
            "flapping",
            "flapping",
            "flapping",
            "flapping",
            "flapping",
            "flapping",
            "ok resolved:None",
            "ok",
            "ok",
            "ok",
        ]
    )
    assert told("a.a.aaaaaaaaaa", **rule)[-6:] == snapshot(
        ["flapping", "firing firing:alert", "firing", "firing", "firing", "firing"]
    )


def test_without_data_it_stays_or_resolves_or_fires_as_the_rule_says() -> None:
    assert told("?a??.") == snapshot(["no_data", "firing firing:alert", "firing", "firing", "ok resolved:alert"])
    assert told("?a?.", no_data="ok") == snapshot(["no_data", "firing firing:alert", "no_data resolved:alert", "ok"])
    assert told(".??.", no_data="alert") == snapshot(["ok", "firing firing:alert", "firing", "ok resolved:alert"])


def test_a_rule_that_is_changed_begins_anew_and_who_was_told_hears_that_it_is_over() -> None:
    memory, _ = step(Memory.fresh(START), VERDICTS["a"], definition(), START)
    fresh, transitions = ended(memory, START)
    assert (fresh.phase, fresh.announced) == (Phase.OK, False)
    assert [(each.kind, each.suppressed) for each in transitions] == [(EventKind.RESOLVED, None)]
    assert ended(fresh, START)[1] == []


@given(
    st.text("..wa?", max_size=60),
    st.text(".z", max_size=60),
    st.sampled_from(["keep", "ok", "alert"]),
    *[st.integers(0, 40) for _ in range(3)],
    st.integers(3, 8),
)
def test_whoever_is_told_that_it_fires_is_told_once_that_it_is_over(
    verdicts: str, snoozed: str, no_data: str, for_: int, resolve: int, cooldown: int, changes: int
) -> None:
    """And never that something is over of which they were not told; what is remembered is bounded."""
    rule = definition(
        for_seconds=for_,
        resolve_seconds=resolve,
        cooldown_seconds=cooldown,
        no_data=no_data,
        flapping_changes=changes,
        flapping_seconds=120,
    )
    memory, open_incident = Memory.fresh(START), False
    for number, letter in enumerate(verdicts):
        now, quiet = START + timedelta(seconds=10 * number), snoozed[number : number + 1] == "z"
        memory, transitions = step(memory, VERDICTS[letter], rule, now, snoozed=quiet)
        for each in transitions:
            if each.suppressed is not None:
                open_incident = open_incident and each.kind is not EventKind.RESOLVED
                continue
            assert not quiet
            if each.kind is EventKind.RESOLVED:
                assert open_incident
                open_incident = False
            else:
                open_incident = True
        assert memory.announced == open_incident
        assert len(memory.changes) <= 2 * changes
        assert memory.announced <= memory.active
    _, transitions = ended(memory, START)
    assert len(transitions) == open_incident
