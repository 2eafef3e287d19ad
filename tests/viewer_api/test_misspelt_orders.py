"""An order with a word that is not known is refused as a whole: by half it would be another order."""

from typing import Any

import pytest

from spanflow.viewer_api.app import api_routes
from tests.support.viewer_server import RunningViewer

WRITING = sorted(
    (method, route.path)
    for route in api_routes()
    for method in route.methods or ()
    if method in {"POST", "DELETE", "PUT", "PATCH"}
)


def test_there_are_writing_routes() -> None:
    assert len(WRITING) >= 10


@pytest.mark.parametrize(("method", "path"), WRITING)
def test_a_parameter_that_is_not_known_is_refused(viewer: RunningViewer, method: str, path: str) -> None:
    bodies: dict[str, Any] = {"/api/v1/session": {"code": "x"}}
    plain = path.replace("{user_id}", "17")
    body = bodies.get(path, {"user_ids": [17]} if path == plain and "monitoring" in path else None)
    answer = viewer.http.request(method, f"{plain}?ttl_hour=2", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
    assert "ttl_hour" in answer.json()["detail"]
    assert viewer.get("/api/v1/monitoring/list") == {"monitored_users": []}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("monitoring/enable/17", {"hours": 2, "reson": "ticket"}),
        ("monitoring/enable/17", {"ttl_hours": 2, "reson": "ticket"}),
        ("monitoring/enable", {"user_ids": [17], "hours": 2}),
        ("monitoring/extend/17", {"ttl_hours": 2}),
        ("monitoring/extend", {"user_ids": [17], "reson": "x"}),
        ("monitoring/disable/17", {"reson": "x"}),
        ("monitoring/disable", {"user_ids": [17], "user_id": 18}),
        ("session", {"code": "x", "remember": True}),
    ],
)
def test_a_field_that_is_not_known_is_refused(viewer: RunningViewer, path: str, body: dict[str, Any]) -> None:
    viewer.post("/api/v1/monitoring/enable/17", {"ttl_hours": 5, "reason": "the one that stood"})
    before = viewer.get("/api/v1/monitoring/list")["monitored_users"]
    answer = viewer.http.post(f"/api/v1/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
    unknown = set(body) - {"user_ids", "code", "ttl_hours" if "enable" in path else ""}
    assert all(name in answer.json()["detail"] for name in unknown)
    (still,) = viewer.get("/api/v1/monitoring/list")["monitored_users"]
    assert (still["expires_at"], still["reason"]) == (before[0]["expires_at"], "the one that stood")


def test_a_wrong_token_is_told_from_none(viewer: RunningViewer) -> None:
    none = viewer.stranger.get("/api/v1/flows")
    wrong = viewer.stranger.get("/api/v1/flows", headers={"Authorization": "Bearer wrong"})
    assert none.status_code == wrong.status_code == 401
    assert "wrong" in wrong.json()["detail"] and "wrong" not in none.json()["detail"]
    assert "invalid_token" in wrong.headers["www-authenticate"]
