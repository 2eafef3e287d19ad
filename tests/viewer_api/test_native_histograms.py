"""Durations of steps as Prometheus's native histograms, read by the messages that Prometheus itself reads."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from spanflow.viewer_api.operations import step_histograms
from spanflow.viewer_api.operations.metrics import Metrics
from spanflow.viewer_api.operations.protobuf_exposition import MEDIA_TYPE, is_preferred
from spanflow.viewer_api.operations.step_histograms import StepHistograms
from spanflow.viewer_api.store.database import Database
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, part, span
from tests.viewer_api.conftest import MakeViewer
from tests.viewer_api.test_statistics_counting import count_all

#: What Prometheus 3 asks with when native histograms are on.
PROMETHEUS = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
NAME = "spanflow_viewer_step_duration_nanoseconds"
_FIELDS = {
    "LabelPair": [("name", 1, "STRING"), ("value", 2, "STRING")],
    "Value": [("value", 1, "DOUBLE")],
    "Bucket": [("cumulative_count", 1, "UINT64"), ("upper_bound", 2, "DOUBLE")],
    "BucketSpan": [("offset", 1, "SINT32"), ("length", 2, "UINT32")],
    "Histogram": [
        ("sample_count", 1, "UINT64"),
        ("sample_sum", 2, "DOUBLE"),
        ("bucket", 3, "*Bucket"),
        ("schema", 5, "SINT32"),
        ("zero_threshold", 6, "DOUBLE"),
        ("zero_count", 7, "UINT64"),
        ("positive_span", 12, "*BucketSpan"),
        ("positive_delta", 13, "*SINT64"),
    ],
    "Metric": [
        ("label", 1, "*LabelPair"),
        ("gauge", 2, "Value"),
        ("counter", 3, "Value"),
        ("histogram", 7, "Histogram"),
    ],
    "MetricFamily": [("name", 1, "STRING"), ("help", 2, "STRING"), ("type", 3, "INT32"), ("metric", 4, "*Metric")],
}


def family_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="t", syntax="proto2")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            plain = kind.lstrip("*")
            label = "LABEL_REPEATED" if kind.startswith("*") else "LABEL_OPTIONAL"
            described = message.field.add(
                name=field, number=number, label=getattr(descriptor_pb2.FieldDescriptorProto, label)
            )
            if plain in _FIELDS:
                described.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
                described.type_name = f".t.{plain}"
            else:
                described.type = getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{plain}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.MetricFamily"))


FAMILY = family_class()


def families(body: bytes) -> Iterator[Any]:
    at = 0
    while at < len(body):
        length = shift = 0
        while True:
            byte = body[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield FAMILY.FromString(body[at : at + length])
        at += length


def buckets_of(histogram: Any) -> dict[int, int]:
    """Index and count of each bucket, as Prometheus unfolds them."""
    found: dict[int, int] = {}
    index = count = 0
    deltas = iter(histogram.positive_delta)
    for each in histogram.positive_span:
        index += each.offset
        for _ in range(each.length):
            count += next(deltas)
            found[index] = count
            index += 1
    assert next(deltas, None) is None
    return found


def test_protobuf_is_for_those_who_would_rather_have_it() -> None:
    assert is_preferred(PROMETHEUS)
    assert is_preferred("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
    for accept in (
        "",
        "*/*",
        "text/plain",
        "application/openmetrics-text;q=0.5,*/*;q=0.1",
        PROMETHEUS.replace("q=0.6", "q=0.1"),
        PROMETHEUS.replace("q=0.6", "q=0"),
        PROMETHEUS.replace("q=0.6", "q=much"),
        PROMETHEUS.replace("delimited", "text"),
        PROMETHEUS.replace("MetricFamily", "Other"),
    ):
        assert not is_preferred(accept), accept


def test_every_metric_of_a_viewer_is_in_both_formats(make_viewer: MakeViewer) -> None:
    viewer = make_viewer()
    viewer.get("/api/v1/session")
    answer = viewer.http.get("/metrics", headers={"Accept": PROMETHEUS})
    assert answer.headers["content-type"] == MEDIA_TYPE
    read = {family.name: family for family in families(answer.content)}
    text = viewer.http.get("/metrics", headers={"Accept": "text/plain"}).text
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE") and "_created" not in line}
    assert read.keys() == told
    (build,) = read["spanflow_viewer_build"].metric
    assert (build.gauge.value, build.label[0].name) == (1.0, "version")
    asked = [
        metric
        for metric in read["spanflow_viewer_request_seconds"].metric
        if any(label.value == "/api/v1/session" for label in metric.label)
    ]
    assert asked[0].histogram.sample_count == asked[0].histogram.bucket[-1].cumulative_count >= 1
    assert math.isinf(asked[0].histogram.bucket[-1].upper_bound)
    assert any(metric.counter.value >= 1 for metric in read["spanflow_viewer_requests_total"].metric)


def test_durations_are_in_the_buckets_that_prometheus_reads_them_from(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    began = int(now.timestamp()) * 1_000_000_000 - 600_000 * MS
    took = [1, 10, 11, 250, 251, 252, 90_000]

    def store(first: int, tool: str, durations: list[int]) -> None:
        data = {"flow.data.tool": tool, "flow.data.mcp": "qa_mcp"}
        with archives_in(postgres_dsn, tmp_path / "archive") as archives:
            parts = [
                part(
                    first + number,
                    [span(1, start_ns=began, end_ns=began + ms * MS, event_type="tool_call", attributes=data)],
                )
                for number, ms in enumerate(durations)
            ]
            deliver(archives.make(), *parts)
        count_all(postgres_dsn, now)

    loop = asyncio.new_event_loop()

    async def opened() -> asyncpg.Pool:
        return await asyncpg.create_pool(postgres_dsn, min_size=1, max_size=1)

    pool = loop.run_until_complete(opened())
    histograms = StepHistograms(Database(pool, "omni2", 10), now.timestamp)

    def read() -> None:
        loop.run_until_complete(histograms.run())

    monkeypatch.setattr(step_histograms, "MAX_SERIES", 2)
    store(1, "before", [5])
    read()
    metrics = Metrics()
    with metrics.also(histograms):
        assert NAME.encode() in metrics.text(PROMETHEUS)[0]
        for first, tool in ((10, "one"), (30, "two"), (50, "three"), (70, "four")):
            store(first, tool, took)
        read()
        read()
        body, _ = metrics.text(PROMETHEUS)
        text = metrics.text("text/plain")[0].decode()
    loop.run_until_complete(pool.close())
    loop.close()
    (family,) = [family for family in families(body) if family.name == NAME]
    by_tool = {dict((label.name, label.value) for label in metric.label)["tool"]: metric for metric in family.metric}
    # What was there before the viewer is no part of it, and what is too much is one.
    assert len(by_tool) == 3 and "(other)" in by_tool and "before" not in by_tool
    for tool, metric in by_tool.items():
        times = 2 if tool == "(other)" else 1
        histogram = metric.histogram
        assert (histogram.schema, histogram.zero_count) == (4, 0)
        assert histogram.sample_count == times * len(took)
        assert histogram.sample_sum == times * sum(took) * MS
        # A bucket of the schema 4 has the values above 2^((index-1)/16) and up to 2^(index/16).
        expected = Counter(math.ceil(math.log2(ms * MS) * 16) for ms in took)
        assert buckets_of(histogram) == {index: times * count for index, count in expected.items()}
        assert histogram.bucket[-1].cumulative_count == times * len(took)
        below = [bucket.cumulative_count for bucket in histogram.bucket if bucket.upper_bound == 2.0**24]
        assert below == [times * 3]
    assert f'{NAME}_count{{event_type="(other)",mcp_server="(other)",tool="(other)"}} 14.0' in text
