"""Try Spanflow beside other releases of OpenTelemetry, and beside what people install it with.

`suites` runs the tests of instrumentation, and those of span processors that make spans, with each release in
tests/versions/requirements and with what is installed here, the newest; `beside` lets the resolver say what goes
together. `--write` keeps the results in docs/compatibility.json, of which `make docs` makes a page.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from tests.support.locked_environment import CannotInstall, locked_environment

ROOT: Final = Path(__file__).resolve().parent.parent
VERSIONS: Final = ROOT / "tests" / "versions"
RESULTS: Final = ROOT / "docs" / "compatibility.json"
NEWEST: Final = "newest"
#: What a test of span processors has in it that makes spans; the others never see OpenTelemetry.
_MAKES_SPANS: Final = ("opentelemetry", "traced_gateway")
SHOWN: Final = ("opentelemetry-sdk", "opentelemetry-instrumentation", "fastapi", "starlette", "mcp", "redis")
_PYTHON: Final = "3.12"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("suites", "beside"))
    parser.add_argument("--write", action="store_true", help="keep the results, also those of this environment")
    parser.add_argument("names", nargs="*", help="only these, such as 1.28 and newest")
    options = parser.parse_intermixed_args(arguments)
    if options.what == "beside":
        rows = list(resolved())
    else:
        rows = [suite_of(name) for name in names_of_suites() if not options.names or name in options.names]
    if options.write:
        write(options.what, rows)
    return 1 if any(row.get("failed") for row in rows) else 0


def write(what: str, rows: list[dict[str, Any]]) -> None:
    """Keep results; those of releases that were not tried this time stay."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if what == "suites":
        rows = [row for row in rows if "python" in row]  # one that cannot be installed here says nothing
        tried_now = {row["name"] for row in rows}
        rows = sorted([*(row for row in known.get(what, []) if row["name"] not in tried_now), *rows], key=_by_name)
    RESULTS.write_text(json.dumps({**known, what: rows}, indent=1) + "\n")


def _by_name(row: dict[str, Any]) -> str:
    name: str = row["name"]
    return name.replace(NEWEST, "z")


def names_of_suites() -> list[str]:
    """Such as 1.28, the oldest first."""
    return [*(path.stem.rpartition("-")[2] for path in lock_files()), NEWEST]


def lock_files() -> list[Path]:
    return sorted((VERSIONS / "requirements").glob("opentelemetry-*.txt"))


def lock_digest(locked: Path) -> str:
    return hashlib.sha256(locked.read_bytes()).hexdigest()[:16]


def locked_versions_of(text: str) -> dict[str, str]:
    """What a lock file installs, by name."""
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==([^\s;]+)", text, re.MULTILINE))


def suite_of(name: str) -> dict[str, Any]:
    """The result with one of them."""
    if name == NEWEST:
        return tried(Path(sys.executable), NEWEST)
    locked = VERSIONS / "requirements" / f"opentelemetry-{name}.txt"
    try:
        programs = locked_environment("versions", locked, sys.executable)
    except CannotInstall as why:
        sys.stdout.write(f"{why}\n")
        return {"name": locked.stem, "skipped": str(why)}
    return {**tried(programs / "python", locked.stem), "lock": lock_digest(locked)}


def tried(python: Path, name: str) -> dict[str, Any]:
    """What is installed in an environment, and how many tests passed and failed there."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ["-m", "pytest", "-q", *chosen_tests(), "-m", "not long and not chaos", "-p", "no:cacheprovider"]
        sys.stdout.write(f"== {name}\n")
        sys.stdout.flush()
        done = subprocess.run([str(python), *words, f"--junitxml={report}"], cwd=ROOT, check=False)
        counts = _counts(report) if report.exists() else {"passed": 0, "skipped": 0, "failed": 1}
    counts["failed"] = counts["failed"] or int(done.returncode != 0)
    return {"name": name, **_installed(python), **counts}


def chosen_tests() -> list[str]:
    """The folders and files of the tests that OpenTelemetry matters to."""
    files = sorted((ROOT / "tests" / "span_processors").glob("test_*.py"))
    telling = [path for path in files if any(word in path.read_text(encoding="utf-8") for word in _MAKES_SPANS)]
    return ["tests/instrumentation", *(str(path.relative_to(ROOT)) for path in telling)]


def _counts(report: Path) -> dict[str, int]:
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    skipped = int(suite.attrib["skipped"])
    return {"passed": int(suite.attrib["tests"]) - failed - skipped, "skipped": skipped, "failed": failed}


_ASK: Final = """
import json, platform, sys
from importlib.metadata import version
print(json.dumps({"python": platform.python_version(), **{name: version(name) for name in sys.argv[1:]}}))
"""


def _installed(python: Path) -> dict[str, str]:
    done = subprocess.run([str(python), "-c", _ASK, *SHOWN], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def resolved() -> Iterator[dict[str, Any]]:
    """For each release in beside.toml, which OpenTelemetry it is installed with; none where that is impossible."""
    for package in tomllib.loads((VERSIONS / "beside.toml").read_text())["package"]:
        for release in package["releases"]:
            yield _resolved(package["requirement"], release)


def _resolved(requirement: str, release: str) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("w", suffix=".in") as wanted:
        wanted.write(f"{requirement}{f'=={release}' if release else ''}\n")
        wanted.flush()
        words = ["-m", "uv", "pip", "compile", wanted.name, str(ROOT / "pyproject.toml"), "--python-version", _PYTHON]
        done = subprocess.run([sys.executable, *words, "--quiet"], capture_output=True, text=True, check=False)
    there = locked_versions_of(done.stdout)
    name = requirement.partition("[")[0]
    row = {
        "package": requirement,
        "release": there.get(name, release),
        **{one: there.get(one, "") for one in SHOWN[:2]},
    }
    sys.stdout.write(f"{requirement} {row['release']}: {row[SHOWN[0]] or done.stderr.strip()}\n")
    return row


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
