"""The documentation: generated pages are up to date, links lead somewhere, every setting is explained."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from spanflow.cli.extras import EMBEDDED
from spanflow.cli.main import COMMANDS
from spanflow.cli.setting_roles import all_rows
from tests.support.checkout import ROOT, files, shown

LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)|!\[[^\]]*\]\((?P<image>[^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
FRAGMENT = re.compile(r"[a-z0-9][a-z0-9_-]*\.(added|changed|deprecated|removed|fixed|security)\.md")


def prose(path: Path) -> str:
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", path.read_text(encoding="utf-8")))


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+\s+(.+?)\s*$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        found.add(re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-"))
    return found


def test_links_inside_the_documentation_lead_somewhere() -> None:
    wrong = []
    for page in files(".md"):
        for match in LINK.finditer(prose(page)):
            target = match["target"] or match["image"]
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            there = (page.parent / name).resolve() if name else page
            if not there.exists():
                wrong.append(f"{shown(page)}: {target}")
            elif anchor and there.suffix == ".md" and anchor not in anchors(there):
                wrong.append(f"{shown(page)}: {target} (no such heading)")
    assert wrong == []


def test_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.generate_docs", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    names = [name for row in all_rows() for name in (row.metadata["env"], row.metadata["also"]) if name]
    assert [name for name in names if f"`{name}`" not in page] == []
    assert [row.metadata["env"] for row in all_rows() if not row.metadata["help"].endswith(".")] == []


def test_every_setting_that_pages_and_sources_name_exists() -> None:
    known = {row.metadata["env"] for row in all_rows()}
    wrong = {
        f"{shown(page)}: {name}"
        for page in files(".md", ".yaml", ".yml")
        for name in re.findall(r"\bSPANFLOW_[A-Z0-9_]*[A-Z0-9]\b(?!\*)", page.read_text(encoding="utf-8"))
        if name not in known
    }
    assert sorted(wrong) == []


def test_every_extra_that_pages_install_exists() -> None:
    known = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    )
    named = {
        (shown(page), extra)
        for page in files(".md")
        for extras in re.findall(r"\bspanflow\[([a-z,]+)\]", page.read_text(encoding="utf-8"))
        for extra in extras.split(",")
    }
    assert len(named) > 5
    assert [(page, extra) for page, extra in sorted(named) if extra not in known] == []


def test_every_page_is_reachable_from_the_index() -> None:
    docs = ROOT / "docs"
    missing = []
    for index in docs.rglob("index.md"):
        text = index.read_text(encoding="utf-8")
        pages = [path for path in index.parent.glob("*.md") if path != index]
        missing += [shown(path) for path in pages if f"]({path.name}" not in text]
    assert missing == []
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [shown(path) for path in docs.rglob("*.md") if path.relative_to(docs).as_posix() not in site] == []


def test_the_site_is_built_without_a_warning_and_loads_nothing_from_outside(tmp_path: Path) -> None:
    """Built from a copy: the generator keeps its cache beside the configuration."""
    for name in ("mkdocs.yml", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    build = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", "mkdocs.yml"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / ".cache" / "site").rglob("*.html"))
    assert len(pages) > 40
    outside = re.compile(r"<(?:script|img|iframe)[^>]*\ssrc=\"(?:https?:)?//|<link[^>]*\shref=\"(?:https?:)?//")
    assert [page.name for page in pages if outside.search(page.read_text(encoding="utf-8"))] == []
    assert (tmp_path / ".cache" / "site" / "search.json").exists()


def test_examples_for_deployment_are_well_formed() -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
    assert set(compose["services"]) == {"redis", "postgres", "migrate", "viewer"}
    assert compose["services"]["viewer"]["ports"] == ["127.0.0.1:8600:8600"]
    objects = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")))
    assert [found["kind"] for found in objects] == ["Job", "Deployment", "Service", "PodDisruptionBudget"]
    for found in objects[:2]:
        pod = found["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert all(container["securityContext"]["readOnlyRootFilesystem"] for container in pod["containers"])
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["ci"]["steps"][-1] == {"run": "bash .ci/run"}


@pytest.mark.parametrize("file", ["deploy/compose.yaml", "collector_config/compose.yaml"])
def test_docker_compose_accepts_the_files_for_deployment(file: str) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("docker with its compose plugin is not here")
    secrets = ("POSTGRES_PASSWORD", "VIEWER_TOKEN", "INGEST_TOKEN", "COLLECTOR_TOKEN")
    checked = subprocess.run(
        [docker, "compose", "--file", file, "config", "--quiet"],
        cwd=ROOT,
        env={**os.environ, **dict.fromkeys(secrets, "change-me")},
        capture_output=True,
        text=True,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_changelog_fragments_are_one_line_each() -> None:
    folder = ROOT / "changelog.d"
    wrong = []
    for path in sorted(folder.iterdir()):
        if path.name in {"README.md", ".template.md"}:
            continue
        lines = path.read_text(encoding="utf-8").strip().splitlines()
        if not FRAGMENT.fullmatch(path.name):
            wrong.append(f"{path.name}: name it like slow-redis.fixed.md")
        elif len(lines) != 1 or not lines[0].strip():
            wrong.append(f"{path.name}: one line, please")
    assert wrong == []


def test_no_changelog_fragment_begins_with_a_mark_of_a_list() -> None:
    """The template writes one before each; a second would stand in the changelog as text."""
    begins = {path.name: path.read_text(encoding="utf-8")[:2] for path in (ROOT / "changelog.d").glob("*.*.md")}
    assert [name for name, text in begins.items() if text in ("- ", "* ")] == []


def test_the_changelog_can_be_assembled() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "0.0.0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "### Added" in done.stdout


def test_the_license_is_apache_2() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert (ROOT / "LICENSE").read_text().split()[:4] == ["Apache", "License", "Version", "2.0,"]


@pytest.mark.parametrize("command", ["demo", "test", "test-long", "check", "format", "lock", "bench"])
def test_make_has_the_commands_that_the_pages_name(command: str) -> None:
    assert f"\n{command}: " in (ROOT / "Makefile").read_text()


def test_nothing_of_one_persons_machine_is_in_the_files() -> None:
    traces = re.compile(r"(?<![\w.])/(?:work|root|Users)/\w|/home/(?!user\b|tester\b|app\b)\w+/")
    wrong = [
        f"{shown(path)}:{number}: {line.strip()[:80]}"
        for path in files(
            ".py", ".md", ".ts", ".tsx", ".yaml", ".yml", ".toml", ".txt", ".json", ".sh", "Makefile", "run"
        )
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if traces.search(line)
    ]
    assert wrong == []


def test_locks_name_no_index() -> None:
    lock = (ROOT / "requirements" / "dev.txt").read_text()
    assert "://" not in lock
    packages = (ROOT / "viewer_api" / "web" / "package-lock.json").read_text()
    assert '"resolved"' not in packages


#: What `spanflow up` starts where there is nothing yet; its own table says nothing of it, as it may find servers.
_STARTS_SERVERS = {"up": EMBEDDED}


def test_what_a_page_installs_is_enough_for_the_commands_after_it() -> None:
    needed = {command.name: command.extra for command in COMMANDS if command.extra} | _STARTS_SERVERS
    missing, checked = [], 0
    for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        for block in re.findall(r"(?:^(?:    |```).*\n(?:.*\S.*\n)*)+", page.read_text(encoding="utf-8"), re.MULTILINE):
            have: set[str] | None = None
            for installs, command in re.findall(r"pip install.*?\bspanflow\b(\[[a-z,]+\])?|\bspanflow (\w+)", block):
                if not command:
                    have = (have or set()) | set(filter(None, installs.strip("[]").split(",")))
                elif have is not None:
                    checked += 1
                    wanted = set(needed.get(command, "[]").partition("[")[2].strip("]").split(",")) - {""}
                    missing += [f"{shown(page)}: spanflow {command} needs {extra}" for extra in wanted - have]
    assert checked > 5
    assert missing == []
