"""Spans as no one would write them. Everything arrives, nothing breaks what stands beside it."""

import random
from typing import Any

import pytest
import redis
from inline_snapshot import snapshot
from opentelemetry.context import Context
from opentelemetry.trace import Span, set_span_in_context

from spanflow.span_processors import names
from spanflow.span_processors.event.event import decode, restored
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.quick_spans import has_quick_spans
from tests.support.traced_gateway import NOON, TracedGateway, flow_id_of, stream_of


def reduced(client: "redis.Redis", flow_id: str) -> FlowReducer:
    found: Any = client.xrange(names.flow_stream(flow_id))
    return FlowReducer(decode(entry[b"e"]) for _, entry in found)


@pytest.mark.skipif(not has_quick_spans(), reason="this SDK keeps neither bytes nor nested values")
def test_values_that_json_cannot_keep(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        odd: dict[str, Any] = {
            "nul": "a\x00b",
            "surrogate": "\ud800x",
            "nan": float("nan"),
            "infinite": float("-inf"),
            "bytes": b"\x00\xff",
            "large": 2**62,
            "double": 3.0,
            "nested": {"list": [1, "\x00", {"deep": b"1"}]},
            "key\x00\ud800": 1,
        }
        with gateway.span("odd\x00name", attributes=odd) as root, gateway.span("tool_call", root):
            root.set_attribute("late", b"\x01")
        assert gateway.pipeline.force_flush(5)
        first, second = reduced(redis_client, flow_id_of(root)).entries()
        assert (first["name"], second["name"]) == ("odd\ufffdname", "tool_call")
        whole = restored(first)["attributes"]
        assert (str(whole.pop("nan")), str(whole.pop("infinite"))) == ("nan", "-inf")
        assert whole == snapshot(
            {
                "nul": "a�b",
                "surrogate": "�x",
                "bytes": b"\x00\xff",
                "large": 4611686018427387904,
                "double": 3.0,
                "nested": {"list": [1, "�", {"deep": b"1"}]},
                "key��": 1,
                "late": b"\x01",
            }
        )


def test_a_text_of_a_megabyte_is_cut_and_holds_up_nobody(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        with gateway.span("POST /ask", attributes={"big": "x" * 1_000_000}) as root:
            root.set_attribute("bigger", ["y" * 1_000_000] * 3)
        assert gateway.pipeline.force_flush(10)
        (entry,) = reduced(redis_client, flow_id_of(root)).entries()
        assert len(entry["attributes"]["big"]) < 9000
        assert [len(text) < 9000 for text in entry["attributes"]["bigger"]] == [True] * 3
        assert gateway.pipeline.counters.intake.waiting_bytes == 0


def test_ten_thousand_spans_and_a_thousand_levels(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url, stream_maxlen=100_000) as gateway:
        root = gateway.start("POST /ask")
        chain: list[Span] = [root]
        for _ in range(999):
            chain.append(gateway.start("step", chain[-1]))
        for _ in range(9_000):
            with gateway.span("tool_call", root):
                pass
        for span in reversed(chain):
            gateway.end(span)
        assert gateway.pipeline.force_flush(30)
        tree = reduced(redis_client, flow_id_of(root)).tree()
        assert len(tree.nodes) == 10_000
        assert max(node.depth for node in tree.walk()) == 999
        assert all(node.ended for node in tree.walk())


def test_the_same_span_twice_and_an_end_before_its_start(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        root: Any = gateway.start("POST /ask")
        gateway.processor.on_start(root)
        gateway.end(root)
        gateway.processor.on_end(root._readable_span())
        assert gateway.pipeline.force_flush(5)
        early = gateway.start("early")
        with TracedGateway(redis_url) as elsewhere:
            late: Any = elsewhere.tracer.start_span("late", set_span_in_context(early, Context()), start_time=NOON)
        late.end(NOON + 1)
        gateway.processor.on_end(late._readable_span())
        gateway.processor.on_start(late)
        gateway.end(early)
        assert gateway.pipeline.force_flush(5)
        assert len(reduced(redis_client, flow_id_of(root)).entries()) == 1
        entries = reduced(redis_client, flow_id_of(early)).entries()
        assert [(entry["name"], entry["phase"]) for entry in entries] == [("late", "end"), ("early", "end")]
        assert gateway.pipeline.counters.open_flows == 0
        assert gateway.pipeline.counters.open_bytes == 0


class Hostile:
    """Everything one can ask of it raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("hostile")


@pytest.mark.parametrize("broken", ["_append_start", "_append_end", "_intake", "_encoder", "pipeline"])
def test_callbacks_never_raise_even_when_we_are_broken(
    broken: str, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = TracedGateway(redis_url)
    with gateway.span("before"):
        pass
    assert gateway.pipeline.force_flush(5)
    owner: Any = gateway.processor if broken == "pipeline" else gateway.pipeline
    kept = getattr(owner, broken)
    setattr(owner, broken, Hostile())
    try:
        with gateway.span("POST /ask") as root, gateway.span("tool_call", root):
            pass
        gateway.processor.on_start(Hostile())  # type: ignore[arg-type]
        gateway.processor.on_end(Hostile())  # type: ignore[arg-type]
        gateway.processor.force_flush(10)
    finally:
        setattr(owner, broken, kept)
    with gateway.span("after"):
        pass
    assert gateway.pipeline.force_flush(5)
    assert gateway.pipeline.shutdown(5)


def test_a_span_that_cannot_be_encoded_is_counted_and_the_next_one_is_fine(
    redis_url: str, redis_client: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    with TracedGateway(redis_url) as gateway:
        pipeline: Any = gateway.pipeline
        pipeline._intake.put((0, 7, Hostile(), "x", {}, None, 1))
        pipeline._intake.put((1, 7, Hostile(), 1))
        pipeline._intake.put((2, Hostile(), 1))
        with gateway.span("fine") as fine:
            pass
        assert gateway.pipeline.force_flush(5)
        assert len(reduced(redis_client, flow_id_of(fine)).entries()) == 1
        counts = gateway.pipeline.counters.intake
        assert counts.dropped == {"fault": 3} and counts.balanced


def test_random_traffic_is_counted_to_the_last_span(redis_url: str, redis_client: "redis.Redis") -> None:
    dice = random.Random(7)
    with TracedGateway(redis_url, queue_spans=200, queue_bytes=1_000_000) as gateway:
        made = 0
        for _ in range(300):
            root = gateway.start("POST /ask", attributes={"text": "x" * dice.choice([1, 10, 5000])})
            spans = [root] + [gateway.start("tool_call", root) for _ in range(dice.randrange(8))]
            dice.shuffle(spans)
            for span in spans:
                gateway.end(span)
            made += 2 * len(spans)
        assert gateway.pipeline.force_flush(10)
        counts = gateway.pipeline.counters
        assert counts.intake.accepted == made
        assert counts.intake.balanced and counts.sinks["mirror"].balanced
        flow_ids = [key.decode().partition("{")[2].rstrip("}") for key in redis_client.scan_iter("flow:*")]
        written = [event for flow_id in flow_ids for event in stream_of(redis_client, flow_id)]
        # An end that says when the span started stands for both.
        told = sum(2 if event["phase"] == "end" and "start_ns" in event else 1 for event in written)
        assert told == counts.intake.delivered and counts.sinks["mirror"].lost == 0


def test_names_that_are_no_texts_are_shown_as_well_as_they_can_be(redis_url: str, redis_client: "redis.Redis") -> None:
    class Text(str):
        def __str__(self) -> str:
            raise ValueError("never asked")

    odd: list[Any] = [None, 7, 10**5000, b"GET \xff", Text("a text"), ["a", "list"], object()]
    with TracedGateway(redis_url) as gateway:
        root = gateway.start("POST /ask")
        for name in odd:
            with gateway.span(name, root):
                pass
            with gateway.span("a step", root) as step:
                step.update_name(name)
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        assert gateway.pipeline.counters.intake.dropped == {}
        shown = [entry["name"] for entry in reduced(redis_client, flow_id_of(root)).entries()]
    assert shown == snapshot(
        [
            "POST /ask",
            "None",
            "None",
            "7",
            "7",
            "[int]",
            "[int]",
            "GET �",
            "GET �",
            "a text",
            "a text",
            "[list]",
            "[list]",
            "[object]",
            "[object]",
        ]
    )
