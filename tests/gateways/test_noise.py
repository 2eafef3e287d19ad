"""What monitors ask real gateways, and what these do by themselves again and again, are no flows."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from inline_snapshot import snapshot

from spanflow.span_processors.encoding.held_flows import HELD_FOR
from tests.support.gateway_process import GatewayProcess
from tests.support.litellm_proxy import ANN, FIRST_CALLBACK, SECOND_CALLBACK, Callback, chat, litellm_proxy
from tests.support.mcp_gateways import contextforge, fastmcp_server, settings_of, token
from tests.support.poll import eventually
from tests.support.query import query
from tests.support.stored_trees import stored_trees

pytestmark = pytest.mark.long

KUBERNETES = {"User-Agent": "kube-probe/1.31"}
PROMETHEUS = {"User-Agent": "Prometheus/3.1.0"}
#: So often each probe asks; one flow too many would be seen.
TIMES = 3


def probe(gateway: GatewayProcess, paths: dict[str, int], headers: dict[str, str]) -> None:
    """Ask as monitors do; the answers are as said, as a probe that fails is no noise."""
    for _ in range(TIMES):
        for path, status in paths.items():
            assert (
                httpx.get(gateway.url + path, headers=headers, timeout=60, follow_redirects=True).status_code == status
            )


def names_of(postgres_dsn: str) -> set[str]:
    """How each flow is listed, whatever its name; without probes that took so long that they are worth seeing."""
    slow = {
        row["name"]
        for row in query(postgres_dsn, "SELECT name, flow_data::text AS flow_data FROM omni2.interaction_flows")
        if _seconds(json.loads(row["flow_data"])["events"]) >= HELD_FOR
    }
    names = (tree[0] for tree in stored_trees(postgres_dsn, without=""))
    return {name for name in names if not (name.startswith("GET ") and any(map(name.startswith, slow)))}


def _seconds(events: list[dict[str, Any]]) -> float:
    """Of the whole flow. What is still open is not over, and so not slow."""
    ended = max(int(event.get("end_ns") or 0) for event in events)
    return (ended - min(int(event["start_ns"]) for event in events)) / 1e9


def told(postgres_dsn: str, *beginnings: str) -> bool:
    return any(name.startswith(beginnings) for name in names_of(postgres_dsn))


#: LiteLLM's background checks ask the model, which costs tokens; so they are flows, without a user.
LITELLM = {
    "first callback": (
        FIRST_CALLBACK,
        snapshot(
            {
                "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
                "litellm_request outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
            }
        ),
    ),
    "second callback": (
        SECOND_CALLBACK,
        snapshot(
            {
                "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
                "chat gpt-4o outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
            }
        ),
    ),
}


@pytest.mark.parametrize("callback", LITELLM)
def test_probes_of_litellm_are_left_out(callback: str, redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    used, expected = LITELLM[callback]
    servers = {"SPANFLOW_REDIS_URL": redis_url, "SPANFLOW_POSTGRES_DSN": postgres_dsn, "SPANFLOW_FLOW_UNFINISHED": "2"}
    checks = "  background_health_checks: true\n  health_check_interval: 1\n"
    with litellm_proxy(tmp_path / "proxy", used, servers, more=checks) as gateway:
        probe(gateway, {"/health/liveliness": 200, "/health/readiness": 200, "/": 200}, KUBERNETES)
        probe(gateway, {"/health": 200}, {"Authorization": f"Bearer {ANN}"})
        chat(gateway, "hello").raise_for_status()
        eventually(lambda: told(postgres_dsn, "POST") and told(postgres_dsn, "litellm_request", "chat"), within=60)
    assert names_of(postgres_dsn) == expected


#: A budget for a provider is kept in Redis, and read from there each second.
BUDGETS = """\
router_settings:
  redis_url: "{redis_url}"
  provider_budget_config:
    openai: {{budget_limit: 100, time_period: 1d}}
"""
#: What the job and scrapes look like where they are not left out. The older callback makes no spans of its jobs.
JOBS = {
    "first callback": (FIRST_CALLBACK, {"GET /metrics outcome=ok"}),
    "second callback": (
        SECOND_CALLBACK,
        {
            "auth /metrics outcome=ok",
            "auth /metrics/ outcome=ok",
            "redis.incr router_budgets outcome=ok",
            "redis.mget router_budgets outcome=ok",
        },
    ),
}


@pytest.mark.parametrize("leave_out", [True, False])
@pytest.mark.parametrize("callback", JOBS)
def test_scrapes_and_budget_jobs_of_litellm_are_left_out(
    callback: str, leave_out: bool, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    used, noise = JOBS[callback]
    measured = Callback(used.environment, used.line.replace('"]', '", "prometheus"]'))
    servers = {
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_POSTGRES_DSN": postgres_dsn,
        "SPANFLOW_FLOW_UNFINISHED": "2",
        "SPANFLOW_LEAVE_OUT_NOISE": str(leave_out),
    }
    known = {"Authorization": f"Bearer {ANN}"}
    budgets = BUDGETS.format(redis_url=redis_url)
    with (
        litellm_proxy(tmp_path / "proxy", measured, servers, more=budgets) as gateway,
        redis.Redis.from_url(redis_url) as budgeted,
    ):
        probe(gateway, {"/metrics": 200}, {**PROMETHEUS, **known})
        before = times_read(budgeted)
        chat(gateway, "hello").raise_for_status()
        eventually(lambda: budgeted.exists("provider_spend:openai:1d"), within=20)
        eventually(lambda: times_read(budgeted) >= before + TIMES, within=20)
        scraped = httpx.get(f"{gateway.url}/metrics/", headers=known, timeout=60).text
        assert 'litellm_provider_remaining_budget_metric{api_provider="openai"}' in scraped
        eventually(lambda: told(postgres_dsn, "POST"), within=60)
        if not leave_out:
            eventually(lambda: names_of(postgres_dsn) >= noise, within=60)
    if leave_out:
        assert names_of(postgres_dsn) == {
            "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_in=11 tokens_out=7"
        }


def times_read(server: "redis.Redis") -> int:
    """How often the budgets were read: nothing else reads several keys at once."""
    statistics: Any = server.info("commandstats")
    return int(statistics.get("cmdstat_mget", {}).get("calls", 0))


def test_probes_scrapes_and_checks_of_contextforge_are_left_out(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    known = {"Authorization": f"Bearer {token(tmp_path)}"}
    # Its checks of the servers behind it, each second instead of each minute.
    settings = {
        **settings_of(tmp_path, redis_url, postgres_dsn),
        "HEALTH_CHECK_INTERVAL": "1",
        "ENABLE_METRICS": "true",
    }
    with fastmcp_server(tmp_path, {"HOME": str(tmp_path)}, ()) as tools:
        with contextforge(tmp_path / "forge", settings) as gateway:
            probe(gateway, {"/health": 200, "/ready": 200}, KUBERNETES)
            probe(gateway, {"/metrics/prometheus": 200}, {**PROMETHEUS, **known})
            server = {"name": "tools", "url": f"{tools.url}/mcp", "transport": "STREAMABLEHTTP"}
            httpx.post(f"{gateway.url}/gateways", headers=known, json=server, timeout=60).raise_for_status()
            registered = tools.said.count("/mcp HTTP")
            eventually(lambda: tools.said.count("/mcp HTTP") > registered + 2, within=60)
            eventually(lambda: told(postgres_dsn, "POST /gateways"), within=20)
    assert names_of(postgres_dsn) == snapshot({"POST /gateways outcome=ok"})
