"""Each page «in five minutes», followed to the letter: what it tells to type is typed, and what it promises is seen.

A picture of the tree that comes of it lies in `.cache/gateways/pictures` afterwards; `make gateway-pictures` puts those
into the documentation.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot
from playwright.sync_api import Page, expect

from tests.support.checkout import ROOT
from tests.support.model_server import model_server
from tests.support.poll import eventually
from tests.support.ports import accepts
from tests.support.real_gateways import answers, programs_of
from tests.support.walked_page import Terminal, WalkedPage

pytestmark = [pytest.mark.long, pytest.mark.browser]

PICTURES = ROOT / ".cache" / "gateways" / "pictures"
LINK = re.compile(r"Open (http://127\.0\.0\.1:\d+)/(#code=\S+)")


@pytest.fixture
def data(new_server_directory: Callable[[], Path]) -> Path:
    return new_server_directory() / "data"


class Shown:
    """What the viewer of a page that was followed shows to somebody who opens its link."""

    def __init__(self, page: Page, log: Path) -> None:
        opened = link(log)
        assert opened is not None
        self._origin, code = opened
        self._page = page
        page.goto(f"{self._origin}/{code}")
        expect(page.get_by_test_id("sign-out")).to_be_attached()

    def flows(self, count: int) -> list[dict[str, Any]]:
        """So many complete flows that have a step or were refused, in the order they began."""

        def found() -> list[dict[str, Any]]:
            flows = self._page.request.get(f"{self._origin}/api/v1/flows").json()["flows"]
            return [
                flow
                for flow in flows[::-1]
                if not flow["open"] and (flow["checkpoint_count"] or flow["outcome"] != "ok")
            ]

        eventually(lambda: len(found()) >= count, within=60)
        return found()

    def take_picture(self, flow: dict[str, Any], step: str, name: str) -> None:
        """Of the flow with this step chosen, as a person sees it who has clicked it."""
        self._page.set_viewport_size({"width": 1280, "height": 640})
        self._page.goto(f"{self._origin}/#/flow/{flow['flow_id']}")
        self._page.get_by_test_id("tree").get_by_role("row").filter(has_text=step).first.click()
        expect(self._page.get_by_test_id("details")).to_be_visible()
        PICTURES.mkdir(parents=True, exist_ok=True)
        # Playwright would write the file in a thread that outlives the test.
        (PICTURES / f"{name}.png").write_bytes(self._page.screenshot(animations="disabled"))


def seen(flow: dict[str, Any]) -> str:
    """One line of the list of flows."""
    words = ("user_id", "outcome", "outcome_reason", "models", "tools", "tokens_input", "tokens_output")
    said = {word: ",".join(value) if isinstance(value := flow[word], list) else value for word in words}
    return " ".join([flow["name"], *(f"{word}={value}" for word, value in said.items() if value)])


@contextmanager
def followed(
    name: str, folder: Path, data: Path, servers: Mapping[str, tuple[int, str]], page: Page, **environment: str
) -> Iterator[Shown]:
    """The page of a gateway. `servers` says for its terminals after the first where each is known to answer."""
    settings = {
        "HOME": str(folder),
        "SPANFLOW_DATA_DIR": str(data),
        # What the pages install is here already, and nothing may come from anywhere else.
        "UV_OFFLINE": "1",
        **environment,
    }
    ports = tuple(port for port, _ in servers.values())
    walked = WalkedPage(ROOT / "docs" / f"gateway-{name}.md", folder, ports, settings)
    own = with_pip(folder / "gateway's pip", programs_of(name))
    terminals = {
        "Terminal 1": Terminal(
            with_pip(folder / "viewer's pip", Path(sys.executable).parent), lambda _, log: link(log)
        ),
        **{title: Terminal(own, serving(*where)) for title, where in servers.items()},
        "Last terminal": Terminal(own),
    }
    with walked.walk(terminals) as said:
        yield Shown(page, said[0])
        page.goto("about:blank")  # the viewer goes first, and a page that misses it would say so


def with_pip(folder: Path, programs: Path) -> tuple[Path, ...]:
    """These programs, and before them a pip for their environment: uv's, as it has none of its own."""
    folder.mkdir()
    pip = folder / "pip"
    pip.write_text(f'#!/bin/bash -e\nexec "{sys.executable}" -m uv pip "$1" --python "{programs}/python" "${{@:2}}"\n')
    pip.chmod(0o755)
    return folder, programs


def serving(port: int, path: str) -> Callable[[WalkedPage, Path], bool]:
    def check(page: WalkedPage, log: Path) -> bool:
        address = f"http://127.0.0.1:{page.port(port)}{path}"
        return answers(address) if path else accepts(page.port(port))

    return check


def link(log: Path) -> tuple[str, str] | None:
    found = LINK.search(log.read_text())
    return (found[1], found[2]) if found else None


def test_the_page_of_litellm(data: Path, tmp_path: Path, page: Page) -> None:
    # The provider is a stand-in, and of what else makes spans of model calls nothing is to be installed.
    with model_server() as provider:
        own = {
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": provider,
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "litellm",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        servers = {"Terminal 2": (4000, "/health/liveliness")}
        with followed("litellm", tmp_path, data, servers, page, **own) as shown:
            flows = shown.flows(2)
            assert [seen(flow) for flow in flows] == snapshot(
                [
                    "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_input=11 tokens_output=7",
                    "POST /v1/chat/completions user_id=ann outcome=denied outcome_reason=caller_error models=gpt-4o",
                ]
            )
            shown.take_picture(flows[0], "chat gpt-4o", "gateway-litellm")


def test_the_page_of_litellm_with_openinference_instead(data: Path, tmp_path: Path, page: Page) -> None:
    with model_server() as provider:
        own = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": provider, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        servers = {"Instead of terminal 2": (4000, "/health/liveliness")}
        with followed("litellm", tmp_path, data, servers, page, **own) as shown:
            assert [seen(flow) for flow in shown.flows(2)] == snapshot(
                [
                    "POST /v1/chat/completions outcome=ok models=openai/gpt-4o tokens_input=11 tokens_output=7",
                    "POST /v1/chat/completions outcome=error outcome_reason=caller_error",
                ]
            )


def test_the_page_of_fastmcp(data: Path, tmp_path: Path, page: Page) -> None:
    with followed("fastmcp", tmp_path, data, {"Terminal 2": (8000, "")}, page) as shown:
        flows = shown.flows(5)
        assert [seen(flow) for flow in flows] == snapshot(
            [
                "tools/call compare user_id=ann outcome=ok tools=compare,convert",
                "tools/call convert user_id=ann outcome=error tools=convert",
                "tools/call set_rate user_id=ann outcome=denied tools=set_rate",
                "prompts/get explain user_id=ann outcome=ok",
                "resources/read user_id=ann outcome=ok",
            ]
        )
        shown.take_picture(flows[0], "error", "gateway-fastmcp")


def test_the_page_of_contextforge(data: Path, tmp_path: Path, page: Page) -> None:
    servers = {"Terminal 2": (4444, "/health"), "Terminal 3": (8000, "")}
    with followed("contextforge", tmp_path, data, servers, page) as shown:
        flows = shown.flows(3)
        assert [seen(flow) for flow in flows] == snapshot(
            [
                "POST /rpc user_id=admin@example.com outcome=ok tools=rates-convert",
                "POST /mcp user_id=admin@example.com outcome=ok tools=rates-convert",
                "POST /rpc outcome=denied outcome_reason=unauthenticated",
            ]
        )
        shown.take_picture(flows[1], "rates-convert", "gateway-contextforge")
