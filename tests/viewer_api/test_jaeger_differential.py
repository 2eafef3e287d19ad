"""The same random spans in a real Jaeger and in a viewer: every query has the same answer. The differences that there
are stand in test_jaeger_differences.py."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import pytest

from tests.support.jaeger_pair import BEGAN, HOURS, WINDOW, Pair, in_order, plain_v1, plain_v3
from tests.support.random_traces import Corpus, RandomTraces

TRACES: Final = 40
SEARCHES: Final = 15
#: Parameters of a search in the older version, and in the newer.
V3: Final = {
    "service": "query.service_name",
    "operation": "query.operation_name",
    "minDuration": "query.duration_min",
    "maxDuration": "query.duration_max",
    "limit": "query.num_traces",
}


@pytest.mark.parametrize("seed", [1, 2])
def test_every_query_has_the_answer_of_a_real_jaeger(pair: Pair, seed: int) -> None:
    traces = RandomTraces(seed, f"s{seed}", BEGAN)
    corpus = traces.corpus(TRACES)
    pair.send(*corpus.requests)
    compare_traces(pair, corpus)
    compare_lists(pair, corpus)
    found = compare_searches(pair, traces, corpus)
    # Or the searches would say nothing.
    assert found[0] and sum(count for size, count in found.items() if size) > SEARCHES


def compare_traces(pair: Pair, corpus: Corpus) -> None:
    for trace_id in corpus.trace_ids:
        for raw in ("true", "false"):
            [theirs], [own] = pair.data(f"/api/traces/{trace_id}", raw=raw)
            assert own["traceID"] == theirs["traceID"]
            assert plain_v1(own) == plain_v1(theirs), trace_id
        (_, there), (_, here) = pair.ask(f"/api/v3/traces/{trace_id}")
        assert plain_v3(here) == plain_v3(there), trace_id
    some = [*corpus.trace_ids[:5], "f0f0"]
    (_, there), (_, here) = pair.ask("/api/traces", traceID=some)
    assert here["errors"] == there["errors"] == [{"msg": "trace not found", "traceID": "000000000000f0f0"}]
    assert {each["traceID"] for each in here["data"]} == {each["traceID"] for each in there["data"]}
    assert len(here["data"]) == 5


def compare_lists(pair: Pair, corpus: Corpus) -> None:
    # Jaeger has those of the other tests as well.
    there, here = pair.ask("/api/services")
    assert here[1]["data"] == corpus.services == sorted(set(there[1]["data"]) & set(corpus.services))
    there, here = pair.ask("/api/v3/services")
    assert here[1]["services"] == corpus.services == sorted(set(there[1]["services"]) & set(corpus.services))
    for service in corpus.services:
        theirs, own = pair.data("/api/operations", service=service)
        assert in_order(own) == in_order(theirs)
        theirs, own = pair.data("/api/operations", service=service, spanKind="client")
        assert in_order(own) == in_order(theirs)
        (_, there), (_, here) = pair.ask("/api/v3/operations", service=service, span_kind="server")
        assert in_order(here["operations"]) == in_order(there["operations"])
        theirs, own = pair.data(f"/api/services/{quote(service, safe='')}/operations")
        assert sorted(own) == sorted(theirs)
    theirs, own = pair.data("/api/dependencies", **HOURS)
    theirs = [each for each in theirs if each["parent"] in corpus.services and each["parent"] != each["child"]]
    assert in_order(own) == in_order(theirs)


def compare_searches(pair: Pair, traces: RandomTraces, corpus: Corpus) -> Counter[int]:
    """How many searches found how many traces."""
    found: Counter[int] = Counter()
    searches = list(traces.searches(corpus, SEARCHES))
    for service, tags in traces.tags(corpus, SEARCHES):
        search = {"service": service, "limit": "1000", **{key: str(us) for key, us in WINDOW.items()}}
        searches.append({**search, "tags": json.dumps(tags)} if tags else search)
    for search in searches:
        theirs, own = pair.data("/api/traces", **search)
        ids = {each["traceID"] for each in own}
        assert ids == {each["traceID"] for each in theirs}, search
        found[len(ids)] += 1
        if len(ids) > 2:
            limited = pair.data("/api/traces", **{**search, "limit": "2"})
            assert [len(some) for some in limited] == [2, 2]
        compare_v3_search(pair, search, ids)
    return found


def compare_v3_search(pair: Pair, search: dict[str, Any], ids: set[str]) -> None:
    start, end = int(search["start"]), int(search["end"])
    # Older Jaegers do not search by attributes there, and newer ones refuse a time that is none.
    if "tags" in search or start >= end:
        return
    asked = {V3[key]: value for key, value in search.items() if key in V3}
    asked |= {"query.start_time_min": moment(start), "query.start_time_max": moment(end)}
    (theirs, there), (own, here) = pair.ask("/api/v3/traces", **asked)
    assert own == theirs == (200 if ids else 404)
    assert here == there if own == 404 else plain_v3(here) == plain_v3(there)


def moment(us: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    return at.isoformat().replace("+00:00", "Z")
