"""What `make bench` does with its figures; the figures themselves need a quiet machine and no test."""

import time
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks.children import ChildFailed, run
from benchmarks.http_load import FULL_LOAD, WITH_A_MODEL
from benchmarks.live_listener import Listener
from benchmarks.report import overhead_ratio, ratio_to, table
from benchmarks.suites import SUITES, Results, add
from benchmarks.tables import tables
from benchmarks.targets import verdicts
from benchmarks.variants import DOCUMENTED, VARIANTS
from benchmarks.workload import CHECKPOINTS, Request, documented, traced
from spanflow.instrumentation.identity_processor import IdentitySpanProcessor
from spanflow.viewer_api.live.frames import NoticeFrame
from spanflow.viewer_api.live.topic import Kind, Topic

TOPIC = Topic(Kind.USER, "7", "7")
CASES = {"request": VARIANTS, "http": FULL_LOAD, "model": WITH_A_MODEL, "budget": ("python", "native")}


class Ones(dict[str, float]):
    """A measurement in which every figure is 1."""

    def __missing__(self, key: str) -> float:
        return 1.0


def a_run(rounds: int) -> Results:
    results: Results = {}
    for suite in SUITES:
        for case in CASES.get(suite, [suite]):
            results.setdefault(suite, {})[case] = [Ones({"a step": 1.0}) for _ in range(rounds)]
    return results


def test_every_suite_has_its_table_and_every_target_its_verdict() -> None:
    text = tables(a_run(rounds=2))
    assert text.count("\n\n|") + 1 > len(SUITES)
    targets = {name.split()[0] for name, *_ in verdicts(a_run(rounds=1))}
    assert targets.issuperset({f"T{number}" for number in range(1, 13)})


def test_what_a_request_costs_is_judged_by_the_documented_way() -> None:
    results = a_run(rounds=1)
    for suite, figures in (("request", ("paced_us", "burst_us", "cpu_us", "burst_p99_us")), ("http", ("lost",))):
        results[suite][DOCUMENTED][0] |= dict.fromkeys(figures, 1000.0)
    missed = {name.split(",")[0] for name, _, _, met in verdicts(results) if met == "NO" and "as documented" in name}
    assert missed == {"T1 overhead", "T2 CPU", "T3 overhead", "T12 burst p99"}
    assert ["T5 events lost under full load, worst round", 1000.0, "<= 0", "NO"] in verdicts(results)


@pytest.mark.anyio
async def test_the_documented_request_is_the_one_that_all_variants_serve(fresh_otel: None) -> None:
    async def said(request: Request) -> list[dict[str, Any]]:
        exporter.clear()
        await request(7)
        return [dict(span.attributes or {}) for span in exporter.get_finished_spans()]

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(IdentitySpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    tracer = provider.get_tracer("benchmark")
    bare, documented_way = await said(traced(tracer)), await said(documented(tracer))
    assert len(bare) == CHECKPOINTS + 1
    assert [one.items() <= two.items() for one, two in zip(bare, documented_way, strict=True)] == [True] * len(bare)


def test_a_suite_that_was_not_measured_leaves_the_others_their_tables() -> None:
    results = a_run(rounds=1)
    del results["http"], results["archive"]
    assert "T6 from spans / limit" in tables(results)
    assert "T4 req/s" not in tables(results)


def test_ratios_are_made_within_a_round() -> None:
    results: Results = {}
    for none, reference, ours in ((1.0, 2.0, 1.5), (10.0, 30.0, 20.0), (100.0, 500.0, 300.0)):
        add(results, "request", {"none": {"us": none}, "reference": {"us": reference}, "ours": {"us": ours}})
    request = results["request"]
    assert overhead_ratio(request, "ours", "reference", "none", "us") == 0.5
    assert ratio_to(request["reference"], request["ours"], "us") == pytest.approx(2 / 3)


def test_tables_are_markdown_with_even_columns() -> None:
    assert table(["who", "us"], [["a", 1.0], ["bcd", 1234.5]]) == (
        "| who |    us |\n|-----|------:|\n| a   |  1.00 |\n| bcd | 1,234 |"
    )


def test_a_measurement_that_fails_says_which_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ChildFailed, match=r"benchmarks\.load_client 1: ended with exit code 1"):
        run("benchmarks.load_client", "1")
    assert "ValueError: not enough values to unpack" in capfd.readouterr().err


def test_a_measurement_that_hangs_is_ended_with_all_that_it_started() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    begun = time.monotonic()
    with pytest.raises(ChildFailed, match="timeit.*: not ready after 1 s"):
        run("timeit", "-n", "1", "-r", "1", program, timeout=1)
    assert time.monotonic() - begun < 30


@pytest.mark.anyio
async def test_each_event_is_heard_when_its_last_byte_came() -> None:
    listener = Listener(b"")
    events = [
        NoticeFrame(TOPIC, "events", {"events": [{"phase": "start", "start_ns": "1", "text": "x" * size}]}).wire
        for size in (0, 60, 300, 70_000)
    ]
    stream = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n" + b"".join(events)
    stream += NoticeFrame(TOPIC, "events", {"events": [{"phase": "end", "start_ns": "1", "end_ns": "2"}]}).wire
    for first in range(0, len(stream), 999):
        listener.data_received(stream[first : first + 999])
    heard = listener.heard()
    assert [one.made_ns for one in heard] == [1, 1, 1, 1, 2]
    assert listener.ended() == 1
    assert heard == sorted(heard, key=lambda one: one.heard_ns)
    assert heard[0].heard_ns < heard[3].heard_ns
