"""A gateway with trackers of its own is traced without a change to a line of it."""

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spanflow.instrumentation import ActivityTracker, FlowTracker, get_activity_tracker, get_flow_tracker
from spanflow.instrumentation.replaced_trackers import ReplacedTrackers
from spanflow.span_processors.settings import Settings
from tests.instrumentation.conftest import Recorded

_THEIR_MODULE = """
class FlowTracker:
    async def log_event(self, session_id, user_id, event_type, parent_id=None, **data):
        raise RuntimeError("the old tracker was called")

class ActivityTracker:
    pass

flow_tracker = FlowTracker()
_tracker = ActivityTracker()

def get_activity_tracker():
    return _tracker
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A gateway's package, not imported yet."""
    name = f"gateway_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "services.py").write_text(_THEIR_MODULE)
    (folder / "chat.py").write_text(f"from {name}.services import FlowTracker, flow_tracker, get_activity_tracker\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def replacing(package: str) -> ReplacedTrackers:
    return ReplacedTrackers(
        Settings(
            replace_flow_tracker=(f"{package}.services.FlowTracker",),
            replace_activity_tracker=(f"{package}.services.ActivityTracker",),
        )
    )


def test_classes_and_their_instances_are_replaced_as_they_are_imported(package: str, recorded: Recorded) -> None:
    replaced = replacing(package)
    replaced.install()
    chat: Any = importlib.import_module(f"{package}.chat")
    assert chat.FlowTracker is FlowTracker
    assert chat.flow_tracker is get_flow_tracker()
    assert chat.get_activity_tracker() is get_activity_tracker()
    asyncio.run(chat.flow_tracker.log_event("s-1", 42, "auth_check"))
    asyncio.run(chat.flow_tracker.save_to_db("s-1", 42))
    assert recorded.outline() == ["request [ok]", "  auth_check [ok]"]
    replaced.remove()


def test_what_is_imported_already_is_replaced_at_once_and_put_back(package: str) -> None:
    services: Any = importlib.import_module(f"{package}.services")
    theirs = services.FlowTracker
    replaced = replacing(package)
    replaced.install()
    assert (services.FlowTracker, services.ActivityTracker) == (FlowTracker, ActivityTracker)
    replaced.remove()
    assert services.FlowTracker is theirs
    assert isinstance(services.flow_tracker, theirs)


def test_a_path_that_leads_nowhere_is_said_and_harms_nothing(package: str, caplog: pytest.LogCaptureFixture) -> None:
    wrong = ReplacedTrackers(Settings(replace_flow_tracker=("FlowTracker", f"{package}.services.Missing")))
    wrong.install()
    importlib.import_module(f"{package}.services")
    assert "names no class to replace; write it as package.module.Class" in caplog.text
    assert f"{package}.services has no Missing to replace" in caplog.text
    wrong.remove()


def test_a_gateway_that_is_named_has_its_own_trackers_replaced(
    package: str, recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = tmp_path / "app" / "services"
    services.mkdir(parents=True)
    for name in ("flow_tracker", "activity_tracker"):
        (services / f"{name}.py").write_text(_THEIR_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    for gateway, expected in (("auto", False), ("omni2-bridge", True)):
        replaced = ReplacedTrackers(Settings(gateway=gateway))
        replaced.install()
        flows: Any = importlib.import_module("app.services.flow_tracker")
        activities: Any = importlib.import_module("app.services.activity_tracker")
        assert (flows.FlowTracker is FlowTracker, activities.ActivityTracker is ActivityTracker) == (expected, expected)
        replaced.remove()
        for module in [name for name in sys.modules if name == "app" or name.startswith("app.")]:
            del sys.modules[module]
