"""Every page of the dashboard as a picture, from the demo's data; `make screenshots` keeps them."""

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.checkout import ROOT
from tests.support.poll import eventually
from tests.support.ports import free_port
from tests.support.screenshots import DEVICES, DOCUMENTED, SCENES, THEMES, Camera, Demo
from tests.support.spanflow_command import running

pytestmark = [pytest.mark.browser, pytest.mark.long]


def test_every_page_of_the_demo_fits_its_screen(
    browser: Browser, new_server_directory: Callable[[], Path], tmp_path: Path
) -> None:
    kept = os.environ.get("SCREENSHOTS")
    folder = Path(kept) if kept else tmp_path / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    data = new_server_directory() / "data"
    settings = {
        "SPANFLOW_DATA_DIR": str(data),
        "SPANFLOW_VIEWER_PORT": str(free_port()),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    ways = [(theme, device) for theme in THEMES for device in DEVICES]
    with running("up", "--demo", settings=settings) as up:
        gateway = re.search(r"gateway +(http://\S+)", up.wait_for("#code=", within=180))
        assert gateway is not None
        with Demo.at(data, gateway[1]) as demo:
            # Alerts are among what the pictures show.
            eventually(lambda: demo.get("alerts/deliveries")["deliveries"], within=120)
            camera = Camera(browser, demo, folder)
            pictures = [
                path
                for number, way in enumerate(ways)
                # All of them are kept; where they are only a test, each page is looked at in one way, by turns.
                for path in camera.take(SCENES if kept else SCENES[number :: len(ways)], *way)
            ]
        assert up.end(signal.SIGTERM) == 0
    assert len({path.read_bytes() for path in pictures}) == len(SCENES) * (len(ways) if kept else 1)
    assert camera.problems == []
    if kept:
        for name, (scene, theme, device) in DOCUMENTED.items():
            shutil.copyfile(folder / f"{scene}-{theme}-{device}.png", ROOT / "docs" / "images" / name)
