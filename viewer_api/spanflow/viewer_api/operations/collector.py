"""Numbers that the parts of a viewer keep anyway, read when Prometheus asks."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import asyncpg
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from spanflow.viewer_api.background.jobs import JobRegistry
from spanflow.viewer_api.background.maintenance import Reaping
from spanflow.viewer_api.operations.metrics import PREFIX
from spanflow.viewer_api.otlp.ingest import IngestCounts
from spanflow.viewer_api.viewer import Viewer


@dataclass(eq=False)
class ViewerCollector(Collector):
    """What one running viewer knows. Collected in the event loop, so that it is consistent."""

    viewer: Viewer
    pools: Mapping[str, asyncpg.Pool]
    jobs: JobRegistry
    reaping: Reaping

    def collect(self) -> Iterable[Metric]:
        yield from self._live()
        yield from self._postgres()
        yield from self._jobs()
        yield from self._access()
        if self.viewer.receiver is not None:
            yield from _received(self.viewer.receiver.ingest.counts())

    def _live(self) -> Iterator[Metric]:
        hub = self.viewer.hub
        yield _gauge("redis_up", "Whether news from Redis can arrive.", hub.redis_up)
        yield _gauge("sockets", "Live sockets and event streams that are open.", hub.sockets)
        yield _gauge("sockets_arriving", "Sockets that have not signed in yet.", len(hub.lobby))
        yield _gauge("feeds", "Users, flows and conversations that are followed.", hub.feeds())
        yield _gauge("subscriptions", "Followings: one per client and feed.", hub.subscriptions())
        yield _gauge("watched_users", "Users who are watched.", len(self.viewer.watching.running()))
        yield _counter(
            "redis_foreign_entries",
            "Entries of Redis passed over because they are no flows.",
            self.viewer.redis_flows.foreign,
        )
        resyncs = CounterMetricFamily(
            f"{PREFIX}_resyncs", "Times that a client was sent everything again, by reason.", labels=("reason",)
        )
        for reason, count in sorted(hub.resyncs.items()):
            resyncs.add_metric((reason,), count)
        yield resyncs

    def _postgres(self) -> Iterator[Metric]:
        connections = GaugeMetricFamily(
            f"{PREFIX}_postgres_connections", "Connections of each pool.", labels=("pool", "state")
        )
        for name, pool in self.pools.items():
            size, idle = pool.get_size(), pool.get_idle_size()
            for state, count in (("busy", size - idle), ("idle", idle), ("most", pool.get_max_size())):
                connections.add_metric((name, state), count)
        yield connections

    def _jobs(self) -> Iterator[Metric]:
        runs = CounterMetricFamily(f"{PREFIX}_job_runs", "Rounds of background jobs.", labels=("job",))
        failures = CounterMetricFamily(f"{PREFIX}_job_failures", "Failures of background jobs.", labels=("job",))
        alive = GaugeMetricFamily(f"{PREFIX}_job_alive", "Whether a background job works or waits.", labels=("job",))
        for record in self.jobs:
            runs.add_metric((record.name,), record.runs)
            failures.add_metric((record.name,), record.failures)
            alive.add_metric((record.name,), record.alive)
        yield from (runs, failures, alive)
        counts = self.reaping.counts
        yield _counter("reaped_flows", "Flows archived for gateways that are gone.", counts.reaped)
        yield _counter("reaper_failures", "Attempts to archive one flow that failed by its own fault.", counts.failed)
        yield _counter("reaper_refused_flows", "Flows kept aside because Postgres refuses them.", counts.refused)
        yield _counter("reaper_foreign_entries", "Index entries removed that were no flows.", counts.foreign)
        yield _gauge("reaper_waiting_flows", "Flows that failed and are tried again later.", self.reaping.waiting)

    def _access(self) -> Iterator[Metric]:
        audit, door = self.viewer.audit, self.viewer.authenticator.doorkeeper
        yield _counter("sign_in_failures", "Credentials that were not good.", door.failures)
        yield _counter("sign_ins_turned_away", "Sign-ins not looked at: their address must wait.", door.turned_away)
        yield _counter("audit_writes", "Rows written to the audit log.", audit.written)
        yield _counter("audit_failures", "Rows that could not be written.", audit.failed)
        limited = self.viewer.rates.refused
        yield _counter("limited", "Requests and sockets refused because there were too many.", limited)


def _received(counts: IngestCounts) -> Iterator[Metric]:
    spans = counts.spans
    yield _counter("otlp_spans_accepted", "Received spans that were accepted.", spans.accepted)
    yield _counter("otlp_spans_encoded", "Accepted spans that were handed on to Redis and Postgres.", spans.delivered)
    yield _gauge("otlp_spans_waiting", "Accepted spans that are not encoded yet.", spans.waiting)
    yield _gauge("otlp_sources", "Service instances that spans come from.", counts.sources)
    yield _gauge("otlp_open_flows", "Flows of received spans that are not handed over yet.", counts.open_flows)
    logs = counts.logs
    yield _counter("otlp_log_records_accepted", "Received log records that were accepted.", logs.accepted)
    yield _counter("otlp_log_records_attached", "Accepted log records that became logs of their spans.", logs.delivered)
    yield _gauge("otlp_log_records_waiting", "Accepted log records whose spans have not been found yet.", logs.waiting)
    yield _by_reason("otlp_spans_refused", "Received spans that were not accepted, by reason.", counts.refused)
    yield _by_reason(
        "otlp_log_records_refused", "Received log records that were not accepted, by reason.", counts.refused_logs
    )
    lost = CounterMetricFamily(
        f"{PREFIX}_otlp_lost", "What was accepted and lost, by stage and reason.", labels=("stage", "reason")
    )
    for stage, read in {"encoder": spans, "logs": logs, **counts.sinks}.items():
        for reason, number in sorted(read.dropped.items()):
            lost.add_metric((stage, reason), number)
    yield lost


def _by_reason(name: str, help: str, numbers: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}_{name}", help, labels=("reason",))
    for reason, number in sorted(numbers.items()):
        family.add_metric((reason,), number)
    return family


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", help, value)


def _counter(name: str, help: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", help, value)
