"""What is searched for secrets of one request, however many spans it has."""

from typing import Any

import orjson
import pytest
import redis

from spanflow.span_processors import names
from tests.support.poll import eventually
from tests.support.traced_gateway import TracedGateway, flow_id_of

MOST = 40_000
LONG = "eyJ" * 2900


def test_a_flow_has_only_so_much_searched(redis_url: str, redis_client: "redis.Redis") -> None:
    """Its spans, their events, and what follows when it was handed over; other flows have their own share."""
    with TracedGateway(redis_url, max_flow_text=MOST, counted_ids=False) as gateway:
        hostile, other = gateway.start("POST /hostile"), gateway.start("POST /other")
        for number in range(30):
            with gateway.span("tool_call", hostile) as tool:
                tool.set_attribute("http.url", f"/{number}?q={LONG}")
                tool.add_event("more", {"detail": f"token=hunter2secret {number} {LONG}"})
        with gateway.span("tool_call", other) as tool:
            tool.set_attribute("http.url", "/" + LONG[:6000])
        gateway.end(hostile)
        gateway.end(other)
        assert gateway.pipeline.force_flush(5)
        eventually(lambda: gateway.pipeline.counters.open_flows == 0)
        # Late, when the flow was handed over already.
        with gateway.span("tool_call", hostile) as tool:
            tool.set_attribute("http.url", f"/late?q={LONG}")
        assert gateway.pipeline.force_flush(5)
        entries = entries_of(redis_client, flow_id_of(hostile))
        texts = urls_in(entries)
        assert len(texts) == 31
        searched = [*texts, *(log["attributes"]["detail"] for entry in entries for log in entry.get("logs", ()))]
        assert len(searched) == 61
        assert sum(map(len, searched)) < MOST + len(searched) * 300
        assert all(len(text) < 300 and text.endswith(" more characters]") for text in texts[-20:])
        assert b"hunter2secret" not in orjson.dumps(entries)
        assert urls_in(entries_of(redis_client, flow_id_of(other))) == ["/" + LONG[:6000]]
        assert gateway.pipeline.counters.shortened_texts == 61 - 4


def test_what_is_short_is_recorded_whole_also_then(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url, max_flow_text=10_000) as gateway:
        root = gateway.start("POST /ask")
        for number in range(100):
            with gateway.span("tool_call", root) as tool:
                tool.set_attribute("http.url", f"/{number}?q=" + "word " * 40)
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        assert {len(text) for text in urls_in(entries_of(redis_client, flow_id_of(root)))} == {205, 206}
        assert gateway.pipeline.counters.shortened_texts == 0


@pytest.mark.parametrize(
    "beside",
    [{"temperature": 1.0}, {"sizes": [1, 2]}, {"nul": "a\x00b"}, {"password": "hunter2"}],
    ids=["a whole double", "numbers", "NUL", "a secret"],
)
def test_a_text_is_counted_once_whatever_stands_beside_it(
    redis_url: str, redis_client: "redis.Redis", beside: dict[str, Any]
) -> None:
    with TracedGateway(redis_url, max_flow_text=MOST) as gateway:
        root = gateway.start("POST /ask")
        for number in range(6):
            with gateway.span("tool_call", root, attributes={"http.url": f"/{number}?q=" + "word " * 1200, **beside}):
                pass
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        assert {len(text) for text in urls_in(entries_of(redis_client, flow_id_of(root)))} == {6005}
        assert gateway.pipeline.counters.shortened_texts == 0


def entries_of(client: Any, flow_id: str) -> list[Any]:
    return [orjson.loads(fields[b"e"]) for _, fields in client.xrange(names.flow_stream(flow_id))]


def urls_in(entries: list[Any]) -> list[str]:
    found = (entry.get("attributes", {}).get("http.url") for entry in entries)
    return [text for text in found if text is not None]
