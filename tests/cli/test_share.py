"""`spanflow share` against a real viewer, as a person types it."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from spanflow.span_processors.identity import Identity
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import part, span
from tests.support.query import script
from tests.support.spanflow_command import spanflow
from tests.support.viewer_server import TOKEN, running_viewer

FLOW = f"{1:032x}"


@pytest.fixture
def here(postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    script(
        postgres_dsn,
        "CREATE TABLE omni2.interaction_flows_w20260105 PARTITION OF omni2.interaction_flows "
        "FOR VALUES FROM ('2026-01-05 00:00Z') TO ('2026-01-12 00:00Z')",
    )
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        assert deliver(archives.make(), part(1, [span(1)], identity=Identity(user_id="7"))).delivered == 1
    # The flow of the example is older than flows are kept.
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", flow_retention_days=36500) as viewer:
        yield {"SPANFLOW_URL": viewer.origin, "SPANFLOW_TOKEN": TOKEN, "TZ": "UTC"}


def test_a_link_is_made_listed_opened_and_revoked(here: dict[str, str]) -> None:
    made = spanflow("share", "create", FLOW, "--days", "2", **here)
    assert made.returncode == 0, made.stderr
    (url,) = made.stdout.splitlines()
    assert "without contents, until" in made.stderr
    base, _, token = url.partition("/#/shared/")
    shown = httpx.get(f"{base}/api/v1/shared/flow", headers={"X-Spanflow-Share": token})
    assert shown.json()["flow"]["flow_id"] == FLOW
    head, line = spanflow("share", **here).stdout.splitlines()
    assert head.split() == ["CREATED", "LINK", "FLOW", "STATE", "EXPIRES", "CONTENTS", "OPENED", "BY"]
    assert (line.split()[-1], line.split()[-2], FLOW in line, " active " in line) == ("operator", "1", True, True)
    link = json.loads(spanflow("share", "list", FLOW, "--json", **here).stdout)
    assert token not in json.dumps(link)
    assert spanflow("share", "revoke", link["link_id"], **here).returncode == 0
    assert httpx.get(f"{base}/api/v1/shared/flow", headers={"X-Spanflow-Share": token}).status_code == 404


def test_what_cannot_be_is_said(here: dict[str, str]) -> None:
    for words, told in (
        (("create",), "say which flow"),
        (("revoke",), "say which link"),
        (("create", "0" * 32), "There is no flow with this id."),
        (("create", FLOW, "--days", "31"), "days: at most 30"),
        (("revoke", "0" * 16), "There is no link with this id."),
    ):
        answer = spanflow("share", *words, **here)
        assert answer.returncode != 0, words
        assert told in answer.stderr, words
