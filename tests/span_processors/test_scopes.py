"""Which libraries made a flow's spans is stored with the flow: those and no others, however many a process has seen."""

from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from inline_snapshot import snapshot
from opentelemetry.context import Context
from opentelemetry.trace import set_span_in_context

from spanflow.span_processors import names
from tests.support.query import query
from tests.support.traced_gateway import TracedGateway, flow_id_of


@pytest.fixture
def archived(postgres_dsn: str, tmp_path: Path) -> dict[str, Any]:
    return {"archive_enabled": True, "postgres_dsn": postgres_dsn, "data_dir": str(tmp_path), "spool_reserve_bytes": 0}


def described(dsn: str, flow_id: str) -> dict[str, Any]:
    rows = query(dsn, "SELECT flow_data FROM omni2.interaction_flows WHERE flow_id = $1", flow_id)
    (process,) = orjson.loads(rows[0]["flow_data"])["processes"].values()
    return {key: process[key] for key in ("resource", "scopes")}


def test_a_row_carries_the_scopes_that_it_uses_and_no_others(
    redis_url: str, redis_client: "redis.Redis", postgres_dsn: str, archived: dict[str, Any]
) -> None:
    with TracedGateway(redis_url, counted_ids=False, **archived) as gateway:
        for number in range(5000):
            gateway.provider.get_tracer(f"library.{number}", "1.0").start_span("step", Context()).end()
        root = gateway.start("POST /ask")
        library = gateway.provider.get_tracer("mcp.client", "2.3", "https://example.org/schema", {"kind": "stdio"})
        library.start_span("tools/call", set_span_in_context(root)).end()
        gateway.end(root)
        assert gateway.pipeline.force_flush(30)
        assert described(postgres_dsn, flow_id_of(root)) == snapshot(
            {
                "resource": {"attributes": {"service.name": "gateway"}},
                "scopes": {
                    "mcp.client@2.3": {
                        "name": "mcp.client",
                        "version": "2.3",
                        "attributes": {"kind": "stdio"},
                        "schema_url": "https://example.org/schema",
                    },
                    "gateway.code@1.2": {"name": "gateway.code", "version": "1.2"},
                },
            }
        )
        about: Any = redis_client.get(names.process_description(gateway.pipeline.instance_id))
        assert len(about) < 20_000, "what is rewritten in Redis is bounded"
        process = gateway.pipeline._process
        assert len(process._scopes) <= 4096 and len(process._about_scopes) <= 256 and len(process._encoded) <= 256


def test_a_scope_that_was_forgotten_meanwhile_is_described_in_the_flow_that_uses_it(
    redis_url: str, postgres_dsn: str, archived: dict[str, Any]
) -> None:
    with TracedGateway(redis_url, counted_ids=False, **archived) as gateway:
        root = gateway.start("POST /ask")
        for number in range(5000):
            gateway.provider.get_tracer(f"library.{number}").start_span("step", Context()).end()
        gateway.end(root)
        assert gateway.pipeline.force_flush(30)
        assert list(described(postgres_dsn, flow_id_of(root))["scopes"]) == ["gateway.code@1.2"]


def test_a_tracer_for_each_request_costs_no_memory(redis_url: str) -> None:
    with TracedGateway(redis_url) as gateway:
        for _ in range(10_000):
            gateway.provider.get_tracer("gateway.code", "1.2").start_span("step", Context()).end()
        assert gateway.pipeline.force_flush(30)
        process = gateway.pipeline._process
        assert len(process._scopes) <= 4096
        assert list(process._about_scopes) == ["gateway.code@1.2"]
