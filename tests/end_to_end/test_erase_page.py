"""Erasing a person in a browser: never by one press, with a reason, and with a receipt."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from spanflow.span_processors.identity import Identity
from tests.support.axe import violations
from tests.support.dashboard import store_flows
from tests.support.flow_parts import part, span
from tests.support.viewer_server import RunningViewer

pytestmark = pytest.mark.browser

ADA = Identity(user_id="7", email="ada@example.com", conversation_id="c-1", source="web")
GRACE = replace(ADA, user_id="8", email="grace@example.com", conversation_id="c-2")


@pytest.fixture
def user_page(signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> Page:
    store_flows(
        postgres_dsn,
        tmp_path / "archive",
        part(1, [span(1)], identity=ADA, root_ended=True),
        part(2, [span(1)], identity=ADA, root_ended=True),
        part(3, [span(1)], identity=GRACE, root_ended=True),
    )
    signed_in.goto(f"{viewer.origin}/#/users/7")
    expect(signed_in.get_by_test_id("user-facts")).to_be_visible()
    return signed_in


def flows_of(viewer: RunningViewer, user: str) -> int:
    return len(viewer.get(f"/api/v1/flows?user_id={user}&since=2000-01-01")["flows"])


def test_a_person_is_erased_with_a_reason_and_a_receipt(user_page: Page, viewer: RunningViewer) -> None:
    user_page.get_by_test_id("erase-user").click()
    expect(user_page.get_by_test_id("erase-stored")).to_contain_text("flows2")
    erase = user_page.get_by_test_id("erase-now")
    expect(erase).to_be_disabled()
    user_page.get_by_test_id("erase-reason").fill("Ada asked for it – “Löschung”")
    expect(erase).to_be_disabled()
    user_page.get_by_test_id("erase-id").fill("8")
    expect(erase).to_be_disabled()
    assert violations(user_page) == []
    user_page.get_by_test_id("erase-id").fill("7")
    erase.click()
    receipt = user_page.get_by_test_id("erase-receipt")
    expect(receipt.get_by_test_id("erase-erased")).to_contain_text("flows2")
    expect(receipt).to_contain_text("audit log")
    expect(receipt).to_contain_text("backups and replicas")
    assert violations(user_page) == []
    with user_page.expect_download() as saved:
        user_page.get_by_test_id("save-receipt").click()
    assert json.loads(Path(saved.value.path()).read_text())["erased"]["flows"] == 2
    user_page.get_by_role("button", name="Done").click()
    expect(user_page.get_by_test_id("user-row")).to_have_count(1)
    assert (flows_of(viewer, "7"), flows_of(viewer, "8")) == (0, 1)
    rows = viewer.get("/api/v1/audit?action=user_erased")["entries"]
    assert [row["reason"] for row in rows] == ["Ada asked for it – “Löschung”"]


def test_nothing_is_erased_by_looking_at_how_much_there_is(user_page: Page, viewer: RunningViewer) -> None:
    user_page.get_by_test_id("erase-user").click()
    expect(user_page.get_by_test_id("erase-stored")).to_be_visible()
    user_page.get_by_role("button", name="Cancel").click()
    expect(user_page.get_by_test_id("erase-dialog")).to_have_count(0)
    assert flows_of(viewer, "7") == 2
