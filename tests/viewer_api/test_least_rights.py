"""The viewer works with the Redis user and the database role that the documentation gives it, and no more."""

import asyncio
import time
from pathlib import Path

import pytest
import redis

from spanflow.migrations.roles import grants
from spanflow.viewer_api.auth.authenticator import one_time_code
from spanflow.viewer_api.background.maintenance import keep_tables
from tests.support.live_client import following
from tests.support.query import script
from tests.support.redis_server import RedisServer
from tests.support.viewer_server import TOKEN
from tests.viewer_api.conftest import MakeFlow, MakeViewer

REDIS_PAGE = Path(__file__).parents[2] / "docs" / "redis.md"


@pytest.mark.anyio
async def test_the_documented_rights_are_enough(
    make_viewer: MakeViewer, make_flow: MakeFlow, redis_server: RedisServer, postgres_dsn: str
) -> None:
    (line,) = [row for row in REDIS_PAGE.read_text().splitlines() if row.startswith("user spanflow-viewer ")]
    with redis.Redis.from_url(redis_server.url) as admin:
        admin.execute_command("ACL", "SETUSER", *line.split()[1:])
    role = f"viewer_{postgres_dsn.rpartition('/')[2]}"
    await asyncio.to_thread(script, postgres_dsn, f"CREATE ROLE {role} LOGIN; {grants(viewer=role)}")
    try:
        viewer = make_viewer(
            dsn=postgres_dsn.replace("postgres@", f"{role}@"),
            url=redis_server.url.replace("redis://", "redis://spanflow-viewer:change-me@"),
        )
        viewer.post("/api/v1/monitoring/enable/7", {"reason": "r"})
        for answer in (
            viewer.post("/api/v1/monitoring/extend/7"),
            viewer.post("/api/v1/monitoring/enable", {"user_ids": [8], "metadata_only": True}),
        ):
            assert answer["live"] is True
        code = one_time_code(TOKEN, time.time)
        assert viewer.stranger.post("/api/v1/session", json={"code": code}).status_code == 200
        async with following(viewer) as client:
            flow = make_flow(url=redis_server.url)
            flow.step("auth", None, "auth_check")
            await client.until_events(2, within=3)
        assert viewer.get("/readyz")["redis"] == "up"
        assert len(viewer.get("/api/v1/monitoring/flows/7")["flows"]) == 1
        viewer.get("/api/v1/monitoring/users?q=ada")
        viewer.get("/api/v1/activities/conversations")
        viewer.post("/api/v1/monitoring/disable/7")
        assert len(viewer.get("/api/v1/audit")["entries"]) > 4
        person = viewer.http.get("/api/v1/users/7/export", headers={"X-Spanflow-Reason": "r"})
        assert '"kind":"end"' in person.text
        await keep_tables(viewer.settings)
    finally:
        await asyncio.to_thread(script, postgres_dsn, f"DROP OWNED BY {role}; DROP ROLE {role}")
