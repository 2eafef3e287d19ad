"""The example gateway and its traffic, as further parts of `spanflow up --demo`."""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path
from typing import Any, Final, Self

from spanflow.cli.ports import LOOPBACK, free_port
from spanflow.cli.problem import Problem

PACKAGE: Final = "example_gateway"
#: The people of the demo who are watched from the start. The others are traced as well, but not live.
_WATCHED: Final = (1, 2, 3)
_WATCHED_HOURS: Final = 24
_HISTORY_DAYS: Final = 14
_CHANNEL: Final[Mapping[str, Any]] = {"name": "On call", "kind": "log"}
#: Rules of which some fire within the first minutes, and others do not.
_RULES: Final[tuple[Mapping[str, Any], ...]] = (
    {
        "name": "Spans are lost",
        "condition": {"kind": "losses", "alert": 1, "window_seconds": 900},
    },
    {
        "name": "Many requests fail",
        "condition": {"kind": "error_rate", "alert": 0.2, "warning": 0.1, "window_seconds": 3600},
    },
    {
        "name": "Many requests are denied",
        # Over a day of the past that is made at first, so that it fires at once.
        "condition": {"kind": "denial_rate", "alert": 0.5, "warning": 0.05, "window_seconds": 86_400},
    },
    {
        "name": "Reports take too long",
        "condition": {"kind": "longer_than", "alert": 6000, "window_seconds": 600},
        "filters": {"tool": ["write_report"]},
    },
    {
        "name": "A tool hangs",
        "condition": {"kind": "still_running", "alert": 8},
        "filters": {"checkpoint": ["tool_call"]},
        "resolve_seconds": 0,
        "flapping_changes": 100,
    },
)


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the demo."""

    name: str
    command: list[str]
    environ: dict[str, str]
    ready: Callable[[], bool]
    detail: str


@dataclass(frozen=True, slots=True)
class Demo:
    """`folder` holds the package `example_gateway`."""

    folder: Path

    @classmethod
    def find(cls) -> Self:
        """The example gateway of this checkout, or the one that came with the installed wheel."""
        checkout = Path(__file__).resolve().parents[3] / "examples" / "gateway"
        if (checkout / PACKAGE / "app.py").exists():
            return cls(checkout)
        for file in files("spanflow") or []:
            if file.parts[-2:] == (PACKAGE, "app.py"):
                return cls(Path(str(file.locate())).resolve().parent.parent)
        raise Problem("this installation has no example gateway. `spanflow up` runs everything else.")

    @property
    def settings(self) -> dict[str, str]:
        """What the viewer and the gateway must agree on."""
        return {"SPANFLOW_PRICES": str(self.folder / PACKAGE / "prices.json")}

    def history(self, environ: Mapping[str, str]) -> Part:
        """Writes two weeks of past, once, and ends."""
        command = [sys.executable, "-m", f"{PACKAGE}.history"]
        return Part("history", command, self._environ(environ), lambda: True, f"the last {_HISTORY_DAYS} days")

    def parts(self, environ: Mapping[str, str]) -> Iterator[Part]:
        port = free_port()
        address = f"http://{LOOPBACK}:{port}"
        here = self._environ(environ)
        served = ["uvicorn", f"{PACKAGE}.app:app", "--host", LOOPBACK, "--port", str(port)]
        traced = [sys.executable, "-m", "spanflow.cli.main", "run", "--", sys.executable, "-m", *served]
        quiet = ["--no-access-log", "--timeout-graceful-shutdown", "3"]
        yield Part(
            "gateway", [*traced, *quiet], here, lambda: answers(f"{address}/healthz"), f"{address}  (the example)"
        )
        visits = [sys.executable, "-m", f"{PACKAGE}.traffic", address]
        yield Part("traffic", visits, here, lambda: True, "several people ask, chat and call tools")

    def _environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        # Made-up people and texts, so that there is something to look at.
        defaults = {
            "SPANFLOW_CONTENT": "full",
            **self.settings,
            "OTEL_SERVICE_NAME": "example-gateway",
            "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS": "healthz",
        }
        path = os.pathsep.join(filter(None, (str(self.folder), environ.get("PYTHONPATH"))))
        return {**defaults, **environ, "PYTHONPATH": path}

    def watch_first_user(self, viewer: str, token: str) -> str:
        """Let the viewer watch some of the people, as an operator would; says whom."""
        body = {"user_ids": list(_WATCHED), "ttl_hours": _WATCHED_HOURS, "reason": "Trying the demo"}
        watched = _ask(viewer, token, "monitoring/enable", body)
        return "users " + ", ".join(str(user) for user in watched["user_ids"])

    def make_alerts(self, viewer: str, token: str) -> str:
        """Rules and a channel, unless there are rules already; says how many there are."""
        rules: list[Any] = _ask(viewer, token, "alerts")["rules"]
        if not rules:
            channel = _ask(viewer, token, "alerts/channels", _CHANNEL)["channel_id"]
            rules = [_ask(viewer, token, "alerts", {**rule, "channels": [channel]}) for rule in _RULES]
        return f"{len(rules)} rules"


def _ask(viewer: str, token: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """GET without a body, POST with one."""
    request = urllib.request.Request(
        f"{viewer}/api/v1/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            answered: dict[str, Any] = json.load(answer)
    except (OSError, ValueError) as why:
        raise Problem(f"the viewer does not do for the demo what it was asked to ({path}): {why}") from None
    return answered


def answers(url: str) -> bool:
    """Whether an HTTP server answers there, whatever it says."""
    try:
        with urllib.request.urlopen(url, timeout=2.0):
            return True
    except urllib.error.HTTPError as refused:
        refused.close()
        return True
    except OSError:
        return False
