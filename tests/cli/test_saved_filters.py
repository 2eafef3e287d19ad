"""`spanflow flows --saved` against a real viewer."""

import json

import httpx

from tests.cli.test_share import FLOW, here
from tests.support.spanflow_command import spanflow

__all__ = ["here"]


def save(here: dict[str, str], name: str, text: str) -> None:
    bearer = {"Authorization": f"Bearer {here['SPANFLOW_TOKEN']}"}
    body = {"name": name, "filter": text}
    assert httpx.post(f"{here['SPANFLOW_URL']}/api/v1/filters", json=body, headers=bearer).status_code == 200


def test_flows_are_found_by_a_saved_filter(here: dict[str, str]) -> None:
    save(here, "of 7", "user_id=7&user_id=8&range=all&connections=show")
    save(here, "lately", "user_id=7")
    (line,) = spanflow("flows", "--saved", "of 7", "--json", **here).stdout.splitlines()
    assert json.loads(line)["flow_id"] == FLOW
    # Without a range a list begins a week ago; what is stated goes before what is saved.
    assert spanflow("flows", "--saved", "lately", "--json", **here).stdout == ""
    assert spanflow("flows", "--saved", "of 7", "--outcome", "denied", "--json", **here).stdout == ""
    missing = spanflow("flows", "--saved", "nothing", **here)
    assert missing.returncode == 2
    assert 'There are: "lately", "of 7".' in missing.stderr
