"""`spanflow token new`: a token, shown once, and an entry for the file that the viewer understands."""

import json

import pytest

from spanflow.viewer_api.auth.permissions import Role
from spanflow.viewer_api.auth.token_file import digest, parsed
from tests.support.spanflow_command import spanflow


def test_the_entry_goes_to_the_output_and_the_token_does_not() -> None:
    done = spanflow("token", "new", "--name", "gräfin 🦆", "--role", "monitor", "--users", "7, 8", "--days", "90")
    assert done.returncode == 0, done.stderr
    (token,) = (line.strip() for line in done.stderr.splitlines() if line.strip().startswith("spanflow_"))
    assert token not in done.stdout
    (entry,) = parsed(done.stdout.encode())
    assert entry.digest == digest(token)
    assert len(token) >= 50
    owner = entry.owner
    assert (owner.name, owner.role, owner.scope) == ("gräfin 🦆", Role.MONITOR, frozenset({"7", "8"}))
    assert owner.expires_at is not None


def test_programs_get_both_as_json() -> None:
    said = json.loads(spanflow("token", "new", "--name", "ada", "--role", "viewer", "--user-id", "7", "--json").stdout)
    (entry,) = parsed(said["entry"].encode())
    assert entry.digest == digest(said["token"])
    assert (entry.owner.name, entry.owner.user_id) == ("ada", "7")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--name", "ada", "--role", "viewer"), "needs a user_id"),
        (("--name", "", "--role", "admin"), "cannot be shown"),
        (("--name", "ada", "--role", "admin", "--users", "7"), "for the role monitor"),
        (("--name", "ada", "--role", "admin", "--days", "0"), "--days"),
        (("--name", "ada", "--role", "viewer", "--user-id", "a/b"), "user id"),
    ],
)
def test_what_the_file_would_refuse_is_not_made(arguments: tuple[str, ...], message: str) -> None:
    done = spanflow("token", "new", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert "spanflow_" not in done.stderr
