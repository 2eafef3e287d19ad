"""What somebody is told who sends something that cannot be understood."""

from typing import Any

from inline_snapshot import snapshot

from tests.support.viewer_server import RunningViewer

JSON = {"Content-Type": "application/json"}


def test_it_is_said_in_words_of_the_api(viewer: RunningViewer) -> None:
    enable = "/api/v1/monitoring/enable"

    def told(content: bytes, headers: dict[str, str] = JSON, path: str = enable) -> Any:
        answer = viewer.http.post(path, content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert "secret" not in answer.text
        return [(each["where"], each["why"]) for each in answer.json()["errors"]]

    assert {
        "no JSON": told(b"{secret"),
        "another type": told(b"[1, 2]", {"Content-Type": "application/x-www-form-urlencoded"}),
        "nothing": told(b""),
        "neither form": told(b'"secret"'),
        "an object without users": told(b"{}"),
        "something that is no user": told(b'{"user_ids": [1, {"a": "secret"}]}'),
        "a list of it": told(b"[1, 1.5]"),
        # It would be user 1.
        "yes": told(b"[true]"),
        "no": told(b'{"user_ids": [false]}'),
        "hours that are none": told(b'{"user_ids": [1], "ttl_hours": true}'),
        "another route": told(b'{"code": "secret", "token": "secret"}', path="/api/v1/session"),
        "a query": told(b"[1]", path=f"{enable}?ttl_hours=secret"),
        "until": told(b'{"until": [1]}', path="/api/v1/monitoring/extend/7"),
    } == snapshot(
        {
            "no JSON": [("body", "Not JSON, from character 1 on: Expecting property name enclosed in double quotes")],
            "another type": [("body", "Send JSON with Content-Type: application/json")],
            "nothing": [("body", "Field required")],
            "neither form": [("body", "Input should be an object or a list")],
            "an object without users": [("body.user_ids", "Field required")],
            "something that is no user": [
                ("body.user_ids.1", "Input should be a valid integer, or: Input should be a valid string")
            ],
            "a list of it": [
                (
                    "body.1",
                    "Input should be a valid integer, got a number with a fractional part, or: "
                    "Input should be a valid string",
                )
            ],
            "yes": [("body.0", "must not be true or false")],
            "no": [("body.user_ids.0", "must not be true or false")],
            "hours that are none": [("body.ttl_hours", "must not be true or false")],
            "another route": [("body", "send a code or a token")],
            "a query": [("query.ttl_hours", "Input should be a valid number, unable to parse string as a number")],
            "until": [("body.until", "Input should be a valid string, or: Input should be a valid number")],
        }
    )
