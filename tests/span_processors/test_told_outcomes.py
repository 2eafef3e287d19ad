"""Steps that other gateways and libraries make say in words of their own that they refused or failed."""

from typing import Any

import pytest
import redis

from tests.support.traced_gateway import TracedGateway, flow_id_of, stream_of

TOOL = {"gen_ai.operation.name": "execute_tool"}
GUARDRAIL = {"gen_ai.operation.name": "apply_guardrail"}
CASES = [
    (TOOL, {"tool.name": "refuse", "success": False}, "error"),
    (TOOL, {"tool.name": "add", "success": True}, "ok"),
    (TOOL, {"success": False}, "ok"),
    (TOOL, {"error.type": "tool_error"}, "error"),
    (TOOL, {"error.type": "AuthorizationError"}, "denied"),
    (TOOL, {"error.type": "InsufficientScopeError"}, "denied"),
    (TOOL, {"tool.name": "refuse", "success": False, "flow.outcome": "cancelled"}, "cancelled"),
    (GUARDRAIL, {"litellm.guardrail.status": "guardrail_intervened"}, "denied"),
    (GUARDRAIL, {"litellm.guardrail.status": "guardrail_failed_to_respond"}, "error"),
    (GUARDRAIL, {"litellm.guardrail.status": "success"}, "ok"),
    (GUARDRAIL, {"guardrail_status": "guardrail_intervened"}, "denied"),
    (GUARDRAIL, {"plugin.had_violation": True}, "denied"),
    (GUARDRAIL, {"plugin.stopped_chain": True}, "denied"),
    (GUARDRAIL, {"plugin.had_violation": False}, "ok"),
    (GUARDRAIL, {"gen_ai.guardrail.result.type": "deny"}, "denied"),
    ({}, {"plugin.had_violation": True}, None),
]


@pytest.mark.parametrize("when", ["at its start", "later", "in one event"])
@pytest.mark.parametrize(("kind", "told", "expected"), CASES)
def test_a_step_that_says_it_refused_or_failed_is_no_ok(
    redis_url: str, kind: dict[str, Any], told: dict[str, Any], expected: str | None, when: str
) -> None:
    with TracedGateway(redis_url) as gateway:
        root = gateway.start("POST /rpc")
        if when == "later":
            step = gateway.start("step", root, attributes=kind)
            assert gateway.pipeline.force_flush(5)
            step.set_attributes(told)
        else:
            step = gateway.start("step", root, attributes={**kind, **told})
            if when == "at its start":
                assert gateway.pipeline.force_flush(5)
            else:
                for _ in range(40):  # with so much waiting, a span that has ended is one event
                    gateway.end(gateway.start("other", root))
        gateway.end(step)
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        with redis.Redis.from_url(redis_url) as client:
            events = stream_of(client, flow_id_of(root))
    ends = [event for event in events if event["node_id"].lstrip("0") == "2" and event["phase"] == "end"]
    assert [event.get("outcome") for event in ends] == [expected]
