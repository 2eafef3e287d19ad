"""The alerts page in a browser: rules in plain words, tried before they are saved, and who was told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from playwright.sync_api import Page, expect

from spanflow.span_processors import names
from spanflow.viewer_api.alerts.condition import UNITS
from tests.support.alerts import ALERTS, LOCAL, ended_flow
from tests.support.axe import violations
from tests.support.dashboard import DASHBOARD, sign_in, store_flows
from tests.support.flow_writer import FlowWriter
from tests.support.viewer_server import RunningViewer, running_viewer
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=\"document.title='hit'\">"


@pytest.fixture
def viewer(postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[RunningViewer]:
    with running_viewer(
        postgres_dsn, redis_url, tmp_path / "viewer", dashboard=DASHBOARD, alert_seconds=1, **LOCAL
    ) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as running:
        yield running


@pytest.fixture
def alerts(page: Page, viewer: RunningViewer) -> Iterator[Page]:
    sign_in(page, viewer)
    page.goto(f"{viewer.origin}/#/alerts")
    expect(page.get_by_test_id("add-rule")).to_be_visible()
    yield page
    page.goto("about:blank")


def make_rule(page: Page, name: str, kind: str, threshold: str, tool: str = "") -> None:
    page.get_by_test_id("add-rule").click()
    page.get_by_test_id("rule-name").fill(name)
    page.get_by_test_id("rule-kind").click()
    page.get_by_role("option", name=kind).click()
    page.get_by_test_id("rule-alert").fill(threshold)
    if tool:
        page.get_by_text("Only some flows").click()
        page.get_by_test_id("rule-tool").fill(tool)


def test_the_history_says_which_gateway_lost_what(alerts: Page, viewer: RunningViewer, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(names.process_losses("edge-1"), '{"intake.queue_full": 7}')
        client.zadd(names.PROCESSES_WITH_LOSSES, {"edge-1": 1})
    viewer.post(ALERTS, {"name": "lost", "condition": {"kind": "losses", "alert": 1}})
    alerts.goto(f"{viewer.origin}/#/alerts?view=events")
    expect(alerts.get_by_test_id("alert-loss")).to_have_text("edge-1: 7 intake.queue_full", timeout=20_000)


def test_a_rule_says_what_it_means_and_how_often_it_would_have_fired(
    alerts: Page, postgres_dsn: str, tmp_path: Path
) -> None:
    store_flows(postgres_dsn, tmp_path / "archive", ended_flow(1, 3600, took=20), ended_flow(2, 7200, took=1))
    make_rule(alerts, f"Slow {HOSTILE}", "A flow took too long", "10")
    expect(alerts.get_by_test_id("rule-sentence")).to_have_text(
        "Alert when a flow that ended within 5 min took 10 s or longer."
    )
    alerts.get_by_test_id("preview-rule").click()
    expect(alerts.get_by_test_id("preview")).to_contain_text("it would have fired once")
    alerts.get_by_test_id("rule-alert").fill("30")
    # What was tried before says nothing of the rule as it is now.
    expect(alerts.get_by_test_id("preview")).to_have_count(0)
    alerts.get_by_test_id("preview-rule").click()
    expect(alerts.get_by_test_id("preview")).to_contain_text("it would not have fired")
    alerts.get_by_test_id("save-rule").click()
    rule = alerts.get_by_test_id("rule")
    expect(rule).to_contain_text(HOSTILE)
    expect(rule.get_by_test_id("rule-words")).to_contain_text("took 30 s or longer")
    assert alerts.title() == "Spanflow"


def test_a_rule_fires_while_a_flow_hangs_and_is_snoozed_woken_changed_and_removed(
    alerts: Page, viewer: RunningViewer, redis_url: str, postgres_dsn: str, receiver: WebhookReceiver
) -> None:
    alerts.get_by_role("tab", name="Channels").click()
    alerts.get_by_test_id("channel-name").fill("hook")
    alerts.get_by_test_id("channel-target").fill(receiver.url)
    alerts.get_by_test_id("add-channel").click()
    expect(alerts.get_by_test_id("channel-secret")).to_contain_text("whsec_")
    alerts.get_by_test_id("test-channel").click()
    expect(alerts.get_by_test_id("channel-tested")).to_contain_text("was delivered")
    alerts.get_by_role("tab", name="Rules").click()
    make_rule(alerts, "A flow hangs", "A flow hangs", "1")
    alerts.get_by_test_id("rule-dialog").get_by_text("hook").click()
    alerts.get_by_test_id("save-rule").click()
    rule = alerts.get_by_test_id("rule")
    expect(rule.get_by_test_id("rule-state")).to_contain_text("ok", timeout=20_000)
    with FlowWriter(redis_url, user_id="7") as flow:
        flow.start("1", name="POST /ask")
        flow.beat()
        expect(rule.get_by_test_id("rule-state")).to_contain_text("firing", timeout=20_000)
        expect(alerts.get_by_test_id("alerts-firing")).to_have_text("1 rule is firing")
        rule.get_by_test_id("snooze").click()
        alerts.get_by_role("menuitem", name="for 1 hour").click()
        expect(rule.get_by_test_id("rule-state")).to_contain_text("snoozed")
        rule.get_by_test_id("wake").click()
        expect(rule.get_by_test_id("rule-state")).to_contain_text("firing")
        rule.get_by_test_id("edit-rule").click()
        alerts.get_by_test_id("rule-name").fill("Something hangs")
        alerts.get_by_test_id("save-rule").click()
        expect(rule).to_contain_text("Something hangs")
        flow.end("1", name="POST /ask")
        flow.close()
    alerts.get_by_role("tab", name="History", exact=True).click()
    expect(alerts.get_by_test_id("alert-event").filter(has_text="firing").first).to_be_visible()
    alerts.get_by_role("tab", name="Deliveries").click()
    expect(alerts.get_by_test_id("delivery").filter(has_text="delivered").first).to_be_visible()
    # What a receiver is led to is this rule.
    rule_id = next(message["data"]["rule_id"] for message in receiver.messages if message["type"] == "alert.firing")
    alerts.goto(f"{viewer.origin}/#/alerts/{rule_id}")
    expect(alerts.get_by_test_id("rule")).to_contain_text("Something hangs")
    alerts.get_by_test_id("switch-rule").click()
    expect(rule.get_by_test_id("rule-state")).to_contain_text("switched off")
    alerts.get_by_test_id("remove-rule").click()
    expect(alerts.get_by_test_id("rule")).to_have_count(0)
    alerts.get_by_role("button", name="Undo").click()
    # When it is back, the button below moves up.
    expect(alerts.get_by_text("No rule yet")).to_have_count(0)
    alerts.get_by_role("button", name="Show all rules").click()
    expect(alerts.get_by_test_id("rule")).to_contain_text("Something hangs")
    # As it was, in everything.
    expect(rule.get_by_test_id("rule-state")).to_contain_text("switched off")


KINDS = {
    "still_running": "A flow hangs",
    "longer_than": "A flow took too long",
    "slower_than_usual": "A flow was slower than usual",
    "step_slower_than_usual": "Steps were slower than usual",
    "error_rate": "Too many flows fail",
    "denial_rate": "Too many flows are denied",
    "no_activity": "No activity",
    "losses": "Spans or flows are lost",
}


def test_every_kind_of_rule_can_be_made_tried_and_changed(alerts: Page, viewer: RunningViewer) -> None:
    assert KINDS.keys() == UNITS.keys()
    for kind, text in KINDS.items():
        make_rule(alerts, kind, text, "60")
        if kind == "step_slower_than_usual":
            expect(alerts.get_by_test_id("save-rule")).to_be_disabled()
            alerts.get_by_test_id("rule-step").fill("list_jobs")
        alerts.get_by_test_id("preview-rule").click()
        expect(alerts.get_by_test_id("preview")).to_be_visible()
        words = alerts.get_by_test_id("rule-sentence").inner_text()
        alerts.get_by_test_id("save-rule").click()
        rule = alerts.get_by_test_id("rule").filter(has=alerts.get_by_text(kind, exact=True))
        expect(rule.get_by_test_id("rule-words")).to_have_text(words)
    made = {rule["name"]: rule for rule in viewer.get(ALERTS)["rules"]}
    assert {name: rule["condition"]["kind"] for name, rule in made.items()} == {kind: kind for kind in KINDS}
    # A rule that was changed in nothing but its name is otherwise as it was.
    for kind in KINDS:
        rule = alerts.get_by_test_id("rule").filter(has=alerts.get_by_text(kind, exact=True))
        rule.get_by_test_id("edit-rule").click()
        alerts.get_by_test_id("rule-name").fill(f"{kind} again")
        alerts.get_by_test_id("save-rule").click()
        expect(alerts.get_by_test_id("rule").filter(has_text=f"{kind} again")).to_have_count(1)
    for rule in viewer.get(ALERTS)["rules"]:
        before = made[rule["name"].removesuffix(" again")]
        assert {**rule["condition"]} == before["condition"], rule["name"]
        assert rule["filters"] == before["filters"]


def test_a_rule_is_narrowed_to_flows_with_some_steps(alerts: Page, viewer: RunningViewer) -> None:
    make_rule(alerts, "Fails", KINDS["error_rate"], "10")
    alerts.get_by_text("Only some flows").click()
    alerts.get_by_test_id("rule-step").fill("tool_call:drop, then list, llm_thinking:chat")
    expect(alerts.get_by_test_id("rule-sentence")).to_contain_text(
        "flows with the step tool_call:drop, then list or llm_thinking:chat"
    )
    alerts.get_by_test_id("save-rule").click()
    expect(alerts.get_by_test_id("rule-words")).to_be_visible()
    (rule,) = viewer.get(ALERTS)["rules"]
    assert rule["filters"]["step"] == ["tool_call:drop, then list", "llm_thinking:chat"]
    alerts.get_by_test_id("edit-rule").click()
    expect(alerts.get_by_test_id("rule-step")).to_have_value("tool_call:drop, then list, llm_thinking:chat")


def test_a_rule_about_steps_says_which_and_how_they_are_compared(alerts: Page, viewer: RunningViewer) -> None:
    make_rule(alerts, "Jobs", KINDS["step_slower_than_usual"], "4")
    alerts.get_by_test_id("rule-by").click()
    alerts.get_by_role("option", name="Type and name of step").click()
    alerts.get_by_test_id("rule-step").fill("tool_call:tools/call list_jobs")
    alerts.get_by_test_id("rule-of").click()
    alerts.get_by_role("option", name="The slowest of them").click()
    alerts.get_by_test_id("rule-warning").fill("2")
    alerts.get_by_test_id("rule-samples").fill("7")
    expect(alerts.get_by_test_id("rule-sentence")).to_have_text(
        "Alert when the slowest step with the type and name tool_call:tools/call list_jobs within 5 min is 4 × the "
        "usual p95 or more. Warn from 2 × on."
    )
    # Such a rule counts the steps of all flows.
    expect(alerts.get_by_text("Only some flows")).to_have_count(0)
    alerts.get_by_test_id("save-rule").click()
    expect(alerts.get_by_test_id("rule-words")).to_contain_text("the slowest step")
    (rule,) = viewer.get(ALERTS)["rules"]
    condition = rule["condition"]
    assert (condition["by"], condition["name"], condition["of"]) == (
        "step",
        "tool_call:tools/call list_jobs",
        "slowest",
    )
    assert (condition["alert"], condition["warning"], condition["min_samples"]) == (4, 2, 7)
    alerts.get_by_test_id("edit-rule").click()
    expect(alerts.get_by_test_id("rule-step")).to_have_value("tool_call:tools/call list_jobs")
    expect(alerts.get_by_test_id("rule-of")).to_contain_text("The slowest of them")
    expect(alerts.get_by_test_id("rule-by")).to_contain_text("Type and name of step")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_phone(alerts: Page, viewer: RunningViewer, theme: str) -> None:
    alerts.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    wrong: list[str] = []

    def check(what: str) -> None:
        for width in (1280, 390):
            alerts.set_viewport_size({"width": width, "height": 844})
            wide, inner = alerts.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert wide <= inner, (what, width)
            wrong.extend(f"{what} at {width}: {each}" for each in violations(alerts))

    check("no rule")
    make_rule(alerts, "Slow " + "w" * 150, "A flow took too long", "10", tool="list_jobs")
    check("the dialog")
    alerts.get_by_test_id("save-rule").click()
    expect(alerts.get_by_test_id("rule")).to_be_visible()
    check("a rule")
    alerts.get_by_role("tab", name="Channels").click()
    check("channels")
    assert wrong == []
