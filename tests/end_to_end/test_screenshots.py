"""Every page of the dashboard as a picture, from the demo's data; `make screenshots` keeps them."""

import os
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


def test_every_page_of_the_demo_fits_both_devices_in_both_themes(
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
    with running("up", "--demo", settings=settings) as up:
        up.wait_for("#code=", within=180)
        with Demo.at(data) as demo:
            # Alerts are among what the pictures show.
            eventually(lambda: demo.get("alerts/deliveries")["deliveries"], within=120)
            camera = Camera(browser, demo, folder)
            pictures = [path for theme in THEMES for device in DEVICES for path in camera.take(SCENES, theme, device)]
        assert up.end(signal.SIGTERM) == 0
    assert len({path.read_bytes() for path in pictures}) == len(SCENES) * len(THEMES) * len(DEVICES)
    assert camera.problems == []
    if kept:
        for name, (scene, theme, device) in DOCUMENTED.items():
            shutil.copyfile(folder / f"{scene}-{theme}-{device}.png", ROOT / "docs" / "images" / name)
