"""A list with a filter that is not known is refused: answered without it, it would look like an answer to it."""

import pytest

from tests.support.query import query
from tests.support.viewer_server import RunningViewer

LISTS = {
    "flows": "user_idd=7",
    "flows/differences": "a.user_idd=7",
    "flows/previews": "flow=1",
    "export": "user_idd=7",
    "conversations": "user_idd=7",
    "audit": "acter=ada",
    "playback": "user_id=7&sinc=2026-03-01",
    "statistics/flows": "toool=x",
    "statistics/steps": "toool=x",
    "statistics/funnel": "toool=x",
    "users/7": "sinc=2026-03-01",
}


@pytest.mark.parametrize("path", LISTS)
def test_a_filter_that_is_not_known_is_refused(viewer: RunningViewer, path: str) -> None:
    answer = viewer.http.get(f"/api/v1/{path}?{LISTS[path]}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
    (name,) = [asked.partition("=")[0] for asked in LISTS[path].split("&")][-1:]
    assert name.partition(".")[2] or name in answer.json()["detail"]


@pytest.mark.parametrize("path", ["activities/conversations", "monitoring/users", "monitoring/flows/7"])
def test_lists_of_existing_dashboards_ignore_what_they_do_not_know(viewer: RunningViewer, path: str) -> None:
    assert viewer.http.get(f"/api/v1/{path}?_=1772366400").status_code == 200


def test_a_cursor_of_another_search_is_refused(viewer: RunningViewer) -> None:
    answer = viewer.http.get("/api/v1/conversations?cursor=WyJvdGhlciIsIjIwMjYtMDMtMDFUMDA6MDA6MDArMDA6MDAiLCJjMSJd")
    assert (answer.status_code, answer.json()["code"]) == (422, "cursor_of_another_search")


def test_part_of_a_name_may_mean_as_many_users_in_every_list(viewer: RunningViewer, postgres_dsn: str) -> None:
    query(
        postgres_dsn,
        "INSERT INTO omni2.user_directory (user_id, email, full_name, first_seen, last_seen) "
        "SELECT n::text, 'p' || n || '@many.example', NULL, now(), now() FROM generate_series(1, 1001) AS n",
    )
    problems = {
        viewer.http.get(f"/api/v1/{path}?user=many.example").json()["detail"] for path in ("flows", "conversations")
    }
    assert problems == {"user: more than 1000 people match; write more of the name."}
    query(postgres_dsn, "DELETE FROM omni2.user_directory WHERE user_id IN ('1000', '1001')")
    for path in ("flows", "conversations"):
        assert viewer.http.get(f"/api/v1/{path}?user=many.example").status_code == 200
