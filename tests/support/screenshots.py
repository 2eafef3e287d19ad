"""Pictures of the dashboard: every page and state, from the demo's data, in both themes, on a desk and on a phone."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, Route, WebSocketRoute, expect

from tests.support.axe import violations
from tests.support.example_visitor import Piece, Visitor
from tests.support.otlp_client import PROTOBUF, request, send
from tests.support.otlp_client import span as otlp_span
from tests.support.poll import eventually

DEVICES: Final[Mapping[str, tuple[int, int]]] = {"desktop": (1440, 900), "phone": (390, 844)}
THEMES: Final = ("light", "dark")
#: Large trees come over OTLP, as those of another program do.
_LARGE: Final = 10_000
_AT_ONCE: Final = 2_000
_WITHIN: Final = 20_000


@dataclass(frozen=True)
class Demo:
    """A running `spanflow up --demo`. What its visitors do is left to chance; what a picture needs is asked here."""

    url: str
    gateway: str
    http: httpx.Client
    _asking: ThreadPoolExecutor
    _found: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    @classmethod
    @contextmanager
    def at(cls, data: Path, gateway: str) -> Iterator[Self]:
        viewer = json.loads((data / "viewer.json").read_text())
        headers = {"authorization": f"Bearer {viewer['token']}"}
        with (
            httpx.Client(base_url=viewer["url"], headers=headers, timeout=30) as http,
            ThreadPoolExecutor(8) as asking,
        ):
            yield cls(viewer["url"].rstrip("/"), gateway, http, asking)

    def ask(self, token: str, message: str, conversation: str) -> "Future[tuple[int, list[Piece]]]":
        """Ask the gateway something, without waiting for the answer."""
        return self._asking.submit(Visitor(self.gateway, token).ask, message, conversation)

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.http.get(f"/api/v1/{path}", params=parameters)
        assert answer.is_success, (path, answer.text)
        return answer.json()

    def code(self) -> str:
        return str(self.http.post("/api/v1/session/codes", json={}).json()["code"])

    def flow(self, **filters: Any) -> str:
        """The newest flow that the search finds, the same one for every picture."""
        key = json.dumps(filters, sort_keys=True)
        if key not in self._found:
            flows = eventually(lambda: self.get("flows", limit=1, **filters)["flows"], within=60)
            self._found[key] = flows[0]["flow_id"]
        return self._found[key]

    def rich(self) -> str:
        """A flow that went well and called more than one tool."""
        if "rich" not in self._found:
            message = "What is the status of job j58, and which are the snapshots of gemini?"
            self.ask("demo-hana", message, "web-status-of-gemini").result()
            self._found["rich"] = self.flow(conversation_id="web-status-of-gemini", outcome="ok")
        return self._found["rich"]

    def running(self) -> str:
        """A flow whose tool hangs right now."""
        conversation = f"web-disk-{next(self._numbers)}"
        self.ask("demo-ann", "Read the frozen d1.", conversation)
        found = eventually(
            lambda: [
                flow["flow_id"]
                for flow in self.get("flows", outcome="running", conversation_id=conversation)["flows"]
                if "read_disk" in flow["tools"]
            ],
            within=15,
        )
        return str(found[0])

    def busy(self) -> None:
        """Three of the watched users do something, and one of them waits for a tool."""
        self.running()
        for token, message in (
            ("demo-ben", "Please find everything about latency."),
            ("demo-cleo", "Has job j27 finished? The finance team is waiting for it."),
        ):
            self.ask(token, message, f"web-{token}-{next(self._numbers)}")

    def conversation(self) -> str:
        """One with many turns."""
        if "conversation" not in self._found:
            listed = self.get("conversations", limit=100)["conversations"]
            best = max(listed, key=lambda one: (one["total_activities"], one["tool_calls"]))
            self._found["conversation"] = str(best["conversation_id"])
        return self._found["conversation"]

    def large(self) -> str:
        """A flow of ten thousand spans, sent once."""
        trace = 0x5350414E464C4F57
        flow_id = f"{trace:032x}"
        if "large" not in self._found:
            began = time.time_ns() - 120_000_000_000
            spans = [otlp_span("POST /batch", trace, 1, ms=60_000, kind=2, user__id="2")]
            for number in range(2, _LARGE + 1):
                parent = 1 if number % 100 == 2 else number - number % 100 + 2 - (100 if number % 100 < 2 else 0)
                name = f"batch {number // 100}" if parent == 1 else f"SELECT row {number}"
                at = number * 5
                spans.append(
                    otlp_span(name, trace, number, parent, at_ms=at, ms=450 if parent == 1 else 3 + number % 7, kind=3)
                )
            shift = began - spans[0].start_time_unix_nano
            for each in spans:
                each.start_time_unix_nano += shift
                each.end_time_unix_nano += shift
            for at in range(0, len(spans), _AT_ONCE):
                body = request(*spans[at : at + _AT_ONCE], service="nightly-batch").SerializeToString()
                assert send(self.http, body, PROTOBUF).is_success
            eventually(lambda: self.http.get(f"/api/v1/flows/{flow_id}").is_success, within=60)
            self._found["large"] = flow_id
        return flow_id


Step = Callable[[Page], None]


@dataclass(frozen=True)
class Scene:
    """One picture: where it is, what is there when it is ready, and what is done before it is taken."""

    name: str
    address: Callable[[Demo], str]
    ready: str
    step: Step | None = None
    #: What goes on at the gateway meanwhile.
    before: Callable[[Demo], None] | None = None
    signed_in: bool = True
    embedded: bool = False


def scene(
    name: str,
    address: str | Callable[[Demo], str],
    ready: str,
    step: Step | None = None,
    before: Callable[[Demo], None] | None = None,
) -> Scene:
    return Scene(name, address if callable(address) else lambda _: address, ready, step, before)


def click(test_id: str) -> Step:
    return lambda page: page.get_by_test_id(test_id).first.click()


def tab(name: str) -> Step:
    return lambda page: page.get_by_role("tab", name=name, exact=True).click()


def keys(*pressed: str) -> Step:
    def press(page: Page) -> None:
        for key in pressed:
            page.keyboard.press(key)

    return press


def then(*steps: Step) -> Step:
    def all_of_them(page: Page) -> None:
        for step in steps:
            step(page)

    return all_of_them


def _answer(status: int, body: Mapping[str, Any]) -> Callable[[Route], None]:
    return lambda route: route.fulfill(
        status=status, content_type="application/problem+json", body=json.dumps({"status": status, **body})
    )


def _flows_fail(page: Page) -> None:
    problem = {"title": "The database does not answer", "code": "unavailable", "detail": "Postgres is not reachable."}
    page.route(re.compile(r"/api/v1/flows\?"), _answer(503, problem))
    page.reload()
    expect(page.get_by_role("alert").first).to_be_visible(timeout=_WITHIN)


def _flows_hang(page: Page) -> None:
    page.route(re.compile(r"/api/v1/flows\?"), _hold)
    page.goto("about:blank")
    page.go_back()
    expect(page.get_by_text("Flows are loading")).to_be_attached(timeout=_WITHIN)


def _hold(_: Route) -> None:
    """Leave the request without an answer."""


def _cut_off(page: Page) -> None:
    open_sockets: list[WebSocketRoute] = []
    cut = False

    def through(socket: WebSocketRoute) -> None:
        if cut:
            socket.close(code=1013)
        else:
            socket.connect_to_server()
            open_sockets.append(socket)

    page.route_web_socket(re.compile("."), through)
    page.reload()
    expect(page.locator("[data-testid=panel-state][data-state=live]").first).to_be_attached(timeout=_WITHIN)
    cut = True
    for socket in open_sockets:
        socket.close(code=1012)
    expect(page.get_by_test_id("panel-state").first).to_contain_text("reconnecting", timeout=_WITHIN)


def _tick_two(page: Page) -> None:
    for row in (0, 2):
        page.get_by_test_id("flow-row").nth(row).locator("label").click()


def _something_runs(page: Page) -> None:
    """Until three users have done something, and one of them waits for a tool."""
    expect(page.locator("[data-testid=panel]:has([data-testid=flow])").nth(2)).to_be_attached(timeout=_WITHIN)
    expect(page.locator("[data-testid=flow][data-open=true]", has_text="frozen").first).to_be_attached(timeout=_WITHIN)


def _new_rule(page: Page) -> None:
    page.get_by_test_id("add-rule").click()
    page.get_by_test_id("rule-name").fill("Reports take too long")
    page.get_by_test_id("rule-kind").click()
    page.get_by_role("option", name="A flow took too long").click()
    page.get_by_test_id("rule-alert").fill("5")
    page.get_by_test_id("preview-rule").click()
    expect(page.get_by_test_id("preview")).to_be_visible(timeout=_WITHIN)


def _watch_terms(page: Page) -> None:
    page.get_by_test_id("user-search").fill("eve")
    page.get_by_role("option", name="Eve Ember").click()
    expect(page.get_by_test_id("watch-form")).to_be_visible(timeout=_WITHIN)


def _custom_range(page: Page) -> None:
    page.get_by_test_id("time-range").click()
    page.get_by_role("option", name=re.compile("From")).click()


def _halfway(page: Page) -> None:
    seek = page.get_by_test_id("seek")
    seek.evaluate(
        """input => {
            const value = Number(input.min) + (Number(input.max) - Number(input.min)) * 0.7;
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
            input.dispatchEvent(new Event('input', {bubbles: true}));
            input.dispatchEvent(new Event('change', {bubbles: true}));
        }"""
    )


def _select_step(page: Page) -> None:
    page.get_by_test_id("node").filter(has_text=re.compile("tool_call")).first.click()
    expect(page.get_by_test_id("details")).to_be_visible()


def _ask_to_erase(page: Page) -> None:
    page.get_by_test_id("erase-user").click()
    expect(page.get_by_test_id("erase-stored")).to_be_visible(timeout=_WITHIN)
    page.get_by_test_id("erase-reason").fill("Dan has left and asked for it")


def _two(demo: Demo) -> str:
    fast, slow = (
        demo.flow(tool="list_snapshots", outcome="ok", sort=order, source="chat", since="2000-01-01")
        for order in ("newest", "duration")
    )
    return f"compare?a={fast}&b={slow}"


def _flow(**filters: str) -> Callable[[Demo], str]:
    return lambda demo: f"flow/{demo.flow(**filters)}"


SCENES: Final = (
    scene("flows", "flows?range=all", "flow-row"),
    scene("flows-filters", "flows?range=all&outcome=denied&outcome=error", "flow-row", click("more-filters")),
    scene(
        "flows-compare",
        "flows?range=all&outcome=ok",
        "flow-row",
        _tick_two,
    ),
    scene("flows-views", "flows", "flow-row", click("open-views")),
    scene("flows-columns", "flows", "flow-row", click("columns")),
    scene("flows-range", "flows", "flow-row", _custom_range),
    scene("flows-none", "flows?q=nothing-has-this-word", "empty"),
    scene("flows-error", "flows", "flow-row", _flows_fail),
    scene("flows-loading", "flows", "flow-row", _flows_hang),
    scene("flow", lambda demo: f"flow/{demo.rich()}", "node"),
    scene("flow-details", lambda demo: f"flow/{demo.rich()}", "node", _select_step),
    scene("flow-notes", lambda demo: f"flow/{demo.rich()}", "node", click("open-notes")),
    scene("flow-share", lambda demo: f"flow/{demo.rich()}", "node", click("share-flow")),
    scene("flow-graph", lambda demo: f"flow/{demo.rich()}", "node", tab("Graph")),
    scene("flow-transcript", lambda demo: f"flow/{demo.rich()}", "node", tab("Transcript")),
    scene("flow-table", lambda demo: f"flow/{demo.rich()}", "node", tab("Table")),
    scene("flow-json", lambda demo: f"flow/{demo.rich()}", "node", tab("JSON")),
    scene("flow-running", lambda demo: f"flow/{demo.running()}", "node"),
    scene("flow-denied", _flow(outcome="denied", gate="usage_check"), "node"),
    scene("flow-error", _flow(outcome="error", source="chat"), "node", keys("e")),
    scene("flow-large", lambda demo: f"flow/{demo.large()}", "node"),
    scene("flow-missing", "flow/0000000000000000000000000000000f", "flow-view"),
    scene("live", "live", "panel", _something_runs, Demo.busy),
    scene("live-compact", "live?density=compact&user=1&user=2&user=3", "panel", _something_runs, Demo.busy),
    scene("live-watch", "live?none=1", "empty", _watch_terms),
    scene("live-none", "live?none=1", "empty"),
    scene("live-reconnecting", "live?user=1&user=2", "panel", _cut_off),
    scene("conversations", "conversations", "conversation-row"),
    scene("conversation", lambda demo: f"conversations/{demo.conversation()}", "turn"),
    scene(
        "conversation-graph",
        lambda demo: f"conversations/{demo.conversation()}",
        "turn",
        click("conversation-graph-toggle"),
    ),
    scene("statistics", "statistics?range=7d", "gate"),
    scene(
        "statistics-steps",
        "statistics?range=7d",
        "step-row",
        lambda page: page.get_by_test_id("steps").evaluate("each => each.scrollIntoView({block: 'start'})"),
    ),
    scene(
        "statistics-usage",
        "statistics?range=7d",
        "model-row",
        lambda page: page.get_by_test_id("by-model").evaluate("each => each.scrollIntoView({block: 'center'})"),
    ),
    scene("compare", "compare", "groups-page"),
    scene("compare-groups", "compare?a.outcome=error&b.outcome=ok&range=all", "difference"),
    scene("compare-flows", _two, "compared-row"),
    scene("users", "users", "user-row"),
    scene("user", "users/1", "user-facts"),
    scene("user-watch", "users/5", "user-facts", click("watch-user")),
    scene("user-erase", "users/4", "user-facts", _ask_to_erase),
    scene("alerts", "alerts", "rule"),
    scene("alerts-rule", "alerts", "rule", _new_rule),
    scene("alerts-events", "alerts?view=events", "alert-event"),
    scene("alerts-deliveries", "alerts?view=deliveries", "delivery"),
    scene("alerts-channels", "alerts?view=channels", "channel"),
    scene("audit", "audit", "audit-row"),
    scene("health", "health", "health-parts"),
    scene("settings", "settings", "settings-page"),
    scene("playback", lambda demo: f"playback?flow_id={demo.rich()}", "player", _halfway),
    Scene("embed", lambda demo: f"flow/{demo.rich()}", "node", embedded=True),
    scene(
        "palette",
        "flows",
        "flow-row",
        then(keys("Control+k"), lambda page: page.get_by_test_id("palette-input").fill("ann")),
    ),
    scene("shortcuts", "flows", "flow-row", keys("?")),
    Scene("sign-in", lambda _: "", "sign-in", signed_in=False),
)


#: Pages of which a request fails, as it should: the console says so too.
FAILING: Final = frozenset({"flows-error", "flows-loading", "flow-missing", "live-reconnecting", "sign-in"})
#: Pictures of the README and of the documentation, which `make screenshots` renews: scene, theme and device.
DOCUMENTED: Final[Mapping[str, tuple[str, str, str]]] = {
    f"{name}-{theme}.png": (name, theme, "desktop")
    for name, themes in {
        "flow-details": THEMES,
        "live": THEMES,
        "flows": ("light",),
        "statistics": ("light",),
        "conversation": ("light",),
        "alerts": ("light",),
        "compare-flows": ("light",),
    }.items()
    for theme in themes
}


#: The buttons for screen readers that React Aria puts around a popover stand in no landmark.
_DISMISS: Final = 'region: <div style="display: contents;">'
_SIDEWAYS: Final = """
    [document.documentElement, ...document.querySelectorAll('main')].some((each) => each.scrollWidth > each.clientWidth)
"""


@dataclass
class Camera:
    """Takes the pictures, and remembers what a page says in its console, one that is too wide, and what axe finds."""

    browser: Browser
    demo: Demo
    folder: Path
    problems: list[str] = field(default_factory=list)

    def take(self, scenes: Iterable[Scene], theme: str, device: str) -> list[Path]:
        """Pictures of pages, in one browser that is signed in."""
        with self._context(theme, device) as signed_in, self._context(theme, device) as stranger:
            page = signed_in.new_page()
            page.goto(f"{self.demo.url}/#code={self.demo.code()}")
            expect(page.get_by_test_id("sign-out")).to_be_attached(timeout=_WITHIN)
            page.close()
            return [
                self._taken(signed_in if scene.signed_in else stranger, scene, f"{scene.name}-{theme}-{device}")
                for scene in scenes
            ]

    @contextmanager
    def _context(self, theme: str, device: str) -> Iterator[BrowserContext]:
        width, height = DEVICES[device]
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
            has_touch=device == "phone",
        )
        try:
            yield context
        finally:
            context.close()

    def _taken(self, context: BrowserContext, scene: Scene, name: str) -> Path:
        page = context.new_page()
        page.on("pageerror", lambda error: self.problems.append(f"{name}: {error}"))
        if scene.name not in FAILING:
            page.on(
                "console", lambda said: self.problems.append(f"{name}: {said.text}") if said.type == "error" else None
            )
        if scene.before is not None:
            scene.before(self.demo)
        page.goto(f"{self.demo.url}/{'?embed=1' if scene.embedded else ''}#/{scene.address(self.demo)}")
        expect(page.get_by_test_id(scene.ready).first).to_be_attached(timeout=_WITHIN)
        if scene.step is not None:
            scene.step(page)
        _settled(page)
        if page.evaluate(_SIDEWAYS):
            self.problems.append(f"{name}: the page scrolls sideways")
        if page.evaluate("document.documentElement.scrollHeight > innerHeight"):
            self.problems.append(f"{name}: the document is higher than the window")
        self.problems += [f"{name}: {each}" for each in violations(page) if not each.startswith(_DISMISS)]
        path = self.folder / f"{name}.png"
        # Not by Playwright, which leaves threads behind that write files.
        path.write_bytes(page.screenshot(animations="disabled"))
        page.unroute_all(behavior="ignoreErrors")
        page.close()
        return path


def _settled(page: Page) -> None:
    """Wait until the page looks the same twice, or for a moment if it never stands still."""
    before = b""
    for _ in range(8):
        page.wait_for_timeout(250)
        now = page.screenshot(animations="disabled")
        if now == before:
            return
        before = now
