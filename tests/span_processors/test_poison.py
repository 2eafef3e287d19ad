"""A record that cannot be stored is kept aside with its error, and stops nobody else."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.archive.archive import POISON
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.spool.spool import ASIDE
from spanflow.span_processors.stages.sink import Receipt
from tests.support.archives import Archives, archives_in, deliver, replay
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.query import query, script, value


@pytest.fixture
def archives(postgres_dsn: str, tmp_path: Path) -> Iterator[Archives]:
    with archives_in(postgres_dsn, tmp_path) as made:
        yield made


def stored(archives: Archives) -> list[str]:
    return [row["flow_id"] for row in query(archives.dsn, "SELECT flow_id FROM omni2.interaction_flows ORDER BY 1")]


def aside(archives: Archives) -> list[dict[str, Any]]:
    return query(archives.dsn, "SELECT kind, flow_id, error, sqlstate, payload FROM omni2.poison_records ORDER BY id")


def numbers(*flows: int) -> list[str]:
    return [f"{flow:032x}" for flow in flows]


AWFUL: dict[str, Any] = {
    "nul": "a\x00b",
    "surrogate": "a\ud800b",
    "nan": math.nan,
    "infinity": -math.inf,
    "bytes": b"\x00\xff",
    "huge": 2**200,
    "text": "x" * 1_000_000,
    "deep": [[[[[[[[["deep"]]]]]]]]],
    "\x00key": {"\ud800": "\x00"},
}


def test_awful_values_are_stored_as_they_can_be(archives: Archives) -> None:
    flow = part(
        1,
        [span(1, attributes=AWFUL, name="\x00\ud800", status_message="\x00"), span(2, 1)],
        identity=Identity(user_id="7", email="\x00\ud800@example.org", full_name="\x00", source="\x00"),
    )
    assert deliver(archives.make(), flow) == Receipt(1)
    assert stored(archives) == numbers(1)
    assert aside(archives) == []


def test_a_chain_of_a_thousand_spans_is_normal(archives: Archives) -> None:
    deliver(archives.make(), part(1, [span(number, number - 1 or None) for number in range(1, 1001)]))
    assert value(archives.dsn, "SELECT span_count FROM omni2.interaction_flows") == 1000


def test_the_same_span_twice_and_ends_before_starts_are_one_span_each(archives: Archives) -> None:
    events = [span(1), span(1, ended=False), span(2, 1), span(2, 1, attributes={"flow.data.n": 1}), span(1)]
    deliver(archives.make(), part(1, events))
    assert value(archives.dsn, "SELECT span_count FROM omni2.interaction_flows") == 2


def raw_nul(flow: int) -> FlowPart:
    entry = b'{"phase":"end","node_id":"1","name":"a\\u0000b","attributes":{"n":"\\\\u0000 is text"}}'
    return FlowPart(f"{flow:032x}", "p1", (entry,))


def test_an_event_that_never_went_through_our_encoder_is_cleaned(archives: Archives) -> None:
    assert deliver(archives.make(), raw_nul(1)) == Receipt(1)
    [row] = query(archives.dsn, "SELECT flow_data FROM omni2.interaction_flows")
    [event] = orjson.loads(row["flow_data"])["events"]
    assert (event["name"], event["attributes"]) == ("a\ufffdb", {"n": "\\u0000 is text"})


def refused_by_the_server(archives: Archives) -> None:
    """From here on the server refuses every flow that is named «bad», as it would refuse a value that we did not
    foresee."""
    script(
        archives.dsn,
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.name = 'bad' THEN RAISE EXCEPTION 'no such thing' USING ERRCODE = '22P05'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON omni2.interaction_flows
        FOR EACH ROW EXECUTE FUNCTION refuse();
        """,
    )


def test_a_flow_that_the_server_refuses_is_isolated_and_kept_aside(archives: Archives) -> None:
    refused_by_the_server(archives)
    bad = {5, 77, 78}
    parts = [part(flow, [span(1, name="bad" if flow in bad else "good")]) for flow in range(100)]
    archive = archives.make()
    assert deliver(archive, *parts) == Receipt(97, {POISON: 3})
    assert stored(archives) == numbers(*(flow for flow in range(100) if flow not in bad))
    kept = aside(archives)
    assert [(row["kind"], row["flow_id"], row["sqlstate"]) for row in kept] == [
        ("flow", name, "22P05") for name in numbers(*bad)
    ]
    assert "no such thing" in kept[0]["error"]
    assert FlowPart.from_bytes(kept[0]["payload"]) == parts[5]
    assert sorted(archives.safe) == numbers(*range(100)), "a flow that is kept aside is over as well"
    assert archive.state.poisoned == 3


def test_a_refused_flow_in_a_spool_does_not_block_those_behind_it(archives: Archives) -> None:
    refused_by_the_server(archives)
    archive = archives.make()
    for flow in range(10):
        archive.set_aside([part(flow, [span(1, name="bad" if flow == 0 else "good")])])
    replay(archive)
    assert stored(archives) == numbers(*range(1, 10))
    assert archive.state.spool_bytes == 0


def test_an_error_nobody_foresaw_is_blamed_on_the_record_only_after_several_tries(archives: Archives) -> None:
    script(
        archives.dsn,
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.name = 'bad' THEN RAISE EXCEPTION 'who knows' USING ERRCODE = 'XX000'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON omni2.interaction_flows FOR EACH ROW EXECUTE FUNCTION refuse();
        """,
    )
    archive = archives.make()
    parts = [part(flow, [span(1, name="bad" if flow == 1 else "good")]) for flow in range(3)]
    with pytest.raises(Exception, match="who knows"):
        deliver(archive, *parts)
    archive.set_aside(parts)
    for _ in range(3):
        with pytest.raises(Exception, match="who knows"):
            replay(archive)
    replay(archive)
    assert stored(archives) == numbers(0, 2)
    assert [row["flow_id"] for row in aside(archives)] == numbers(1)


def test_a_refused_activity_does_not_cost_its_flow(archives: Archives) -> None:
    script(
        archives.dsn,
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.activity_data ->> 'message' = 'bad' THEN RAISE EXCEPTION 'no' USING ERRCODE = '22000'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON omni2.user_activities FOR EACH ROW EXECUTE FUNCTION refuse();
        """,
    )
    said = [
        Activity("user_message", NOON + at * MS, {"message": text}, "c1") for at, text in enumerate(("a", "bad", "b"))
    ]
    flow = part(1, [span(1)], activities=(*(activity.to_bytes() for activity in said), b"no activity at all"))
    assert deliver(archives.make(), flow, part(2, [span(1)])) == Receipt(2)
    assert stored(archives) == numbers(1, 2)
    activities = query(
        archives.dsn, "SELECT activity_data ->> 'message' AS m, sequence_num AS n FROM omni2.user_activities"
    )
    assert [(row["m"], row["n"]) for row in activities] == [("a", 1), ("b", 2)]
    assert [row["kind"] for row in aside(archives)] == ["activity", "activity"]


def test_an_entry_that_is_no_event_costs_itself_only(archives: Archives) -> None:
    good = part(1, [span(1), span(2, 1)])
    broken = FlowPart(good.flow_id, "p1", (*good.entries, b"{", b"[]", b'{"phase":"start","node_id":"a/b"}'))
    assert deliver(archives.make(), broken) == Receipt(1)
    assert value(archives.dsn, "SELECT span_count FROM omni2.interaction_flows") == 2
    assert [(row["kind"], bytes(row["payload"])) for row in aside(archives)] == [
        ("span", b"{"),
        ("span", b"[]"),
        ("span", b'{"phase":"start","node_id":"a/b"}'),
    ]


@pytest.mark.parametrize("flow_id", ["", "a/b", "\x00", "x" * 200])
def test_a_flow_id_that_cannot_be_used_costs_that_flow_only(archives: Archives, flow_id: str) -> None:
    good = part(1, [span(1)])
    assert deliver(archives.make(), FlowPart(flow_id, "p1", good.entries), good) == Receipt(1, {POISON: 1})
    assert stored(archives) == numbers(1)


def test_a_record_of_the_spool_that_nobody_can_read_is_kept_aside(archives: Archives) -> None:
    archive = archives.make()
    archive._spool.append([b"from a later release", part(1, [span(1)]).to_bytes()])
    replay(archive)
    assert stored(archives) == numbers(1)
    assert [(row["kind"], bytes(row["payload"])) for row in aside(archives)] == [
        ("unreadable", b"from a later release")
    ]


def test_what_even_the_table_of_poison_does_not_take_becomes_a_file(archives: Archives) -> None:
    refused_by_the_server(archives)
    script(archives.dsn, "DROP TABLE omni2.poison_records")
    bad = part(1, [span(1, name="bad")])
    assert deliver(archives.make(), bad, part(2, [span(1)])) == Receipt(1, {POISON: 1})
    [kept] = (archives.data_dir / ASIDE).iterdir()
    assert FlowPart.from_bytes(kept.read_bytes()) == bad


def test_a_torn_tail_is_set_aside_and_the_rest_is_replayed(archives: Archives) -> None:
    gone = archives.make("gone")
    gone.set_aside([part(1, [span(1)])])
    gone.set_aside([part(2, [span(1)])])
    gone._spool.close()
    [segment] = (archives.data_dir / "spool").glob("*/*.seg")
    segment.write_bytes(segment.read_bytes()[:-7])
    replay(archives.make("heir"))
    assert stored(archives) == numbers(1)
    [kept] = (archives.data_dir / ASIDE).iterdir()
    assert kept.name.endswith(".torn")
