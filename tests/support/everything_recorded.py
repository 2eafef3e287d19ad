"""A gateway's process with every sink there is, and all bytes that have come to each of them."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider

from spanflow.instrumentation import configure, shutdown
from spanflow.instrumentation.exporting import redacted_batches
from spanflow.span_processors import names
from spanflow.span_processors.settings import Settings
from tests.support.otel_globals import reset_otel_globals
from tests.support.otlp_receiver import otlp_receiver
from tests.support.poll import eventually
from tests.support.ports import free_port
from tests.support.query import query

USER = 7
#: The one checkpoint that dashboards hear of last.
LAST = "the last step"


@dataclass
class Sinks:
    """What stands where once the process has ended."""

    written: dict[str, str] = field(default_factory=dict)

    def holding(self, text: str) -> list[str]:
        return sorted(name for name, content in self.written.items() if text in content)


class LogLines(logging.Handler):
    """Every line that any logger writes, with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("spanflow"):
            self.lines.append(self.format(record))


def record_everything(
    work: Callable[[TracerProvider], None],
    *,
    redis_url: str,
    postgres_dsn: str,
    data_dir: Path,
    resource: dict[str, Any] | None = None,
    content: str = "off",
) -> Sinks:
    """Run `work` in a process that is traced, with user 7 watched. Once with Postgres, once with it away."""
    sinks = Sinks()
    for away in (False, True):
        where = f"postgresql://127.0.0.1:{free_port()}/away" if away else postgres_dsn
        settings = Settings(
            enabled=True,
            redis_url=redis_url,
            postgres_dsn=where,
            data_dir=str(data_dir / str(away)),
            content=content,
            flow_grace=0.05,
            postgres_timeout=1.0,
            spool_reserve_bytes=0,
        )
        with log_lines() as log, listening(redis_url) as told, otlp_receiver() as (receiver, endpoint):
            _run(work, settings, endpoint, resource or {})
            eventually(lambda told=told: LAST in told())  # type: ignore[misc]
            sinks.written["channel"] = sinks.written.get("channel", "") + told()
            sinks.written["otlp"] = sinks.written.get("otlp", "") + receiver.raw.decode("utf-8", "replace")
        sinks.written["log"] = sinks.written.get("log", "") + "\n".join(log.lines)
        if away:
            files = [path for path in (data_dir / "True").rglob("*") if path.is_file()]
            sinks.written["spool"] = "".join(path.read_bytes().decode("utf-8", "replace") for path in files)
        else:
            sinks.written["rows"] = rows_of(postgres_dsn)
        sinks.written["redis"] = sinks.written.get("redis", "") + keys_of(redis_url)
    return sinks


def _run(work: Callable[[TracerProvider], None], settings: Settings, endpoint: str, resource: dict[str, Any]) -> None:
    limits = SpanLimits(max_span_attributes=1000)
    provider = TracerProvider(
        resource=Resource({"service.name": "gateway", **resource}), shutdown_on_exit=False, span_limits=limits
    )
    provider.add_span_processor(redacted_batches(settings)(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    reset_otel_globals()
    trace.set_tracer_provider(provider)
    client = redis.Redis.from_url(settings.redis_url)
    try:
        client.sadd(names.MONITORED_USERS, str(USER))
        client.zadd(names.MONITORED_UNTIL, {str(USER): time.time() + 600})
    finally:
        client.close()
    assert configure(settings=settings)
    try:
        work(provider)
    finally:
        provider.force_flush()
        shutdown(20)
        provider.shutdown()


@contextmanager
def log_lines() -> Iterator[LogLines]:
    handler = LogLines()
    root = logging.getLogger()
    logger = logging.getLogger("spanflow")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def listening(redis_url: str) -> Iterator[Callable[[], str]]:
    """All that is published on any channel."""
    client: Any = redis.Redis.from_url(redis_url)
    channel = client.pubsub()
    channel.psubscribe("*")
    heard: list[str] = []

    def told() -> str:
        while (message := channel.get_message(timeout=0.2)) is not None:
            heard.append(_text(message["channel"]) + " " + _text(message["data"]))
        return "\n".join(heard)

    try:
        told()
        yield told
    finally:
        channel.close()
        client.close()


def keys_of(redis_url: str) -> str:
    """Every key with all that is in it."""
    client: Any = redis.Redis.from_url(redis_url)
    readers: dict[bytes, Callable[[bytes], Any]] = {
        b"stream": client.xrange,
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"set": client.smembers,
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
    }
    try:
        return "\n".join(f"{_text(key)} {_text(readers[client.type(key)](key))}" for key in client.scan_iter())
    finally:
        client.close()


def rows_of(dsn: str) -> str:
    """Every row of every table."""
    tables = query(dsn, "SELECT tablename FROM pg_tables WHERE schemaname = 'omni2'")
    return "\n".join(
        row["line"]
        for table in tables
        for row in query(dsn, f'SELECT t::text AS line FROM omni2."{table["tablename"]}" t')
    )


def _text(value: Any) -> str:
    """As it stands there; what is inside of a list has its escapes taken away."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return " ".join(f"{_text(key)} {_text(member)}" for key, member in value.items())
    if isinstance(value, list | tuple | set):
        return " ".join(_text(member) for member in value)
    return str(value)
