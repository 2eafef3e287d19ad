"""The house: one namespace over several folders, imports that run one way, small files."""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, SOURCE_ROOTS, files, shown

#: Which rooms of `spanflow` a room may import.
ARROWS = {
    "span_processors": {"span_processors"},
    "instrumentation": {"instrumentation", "span_processors"},
    "viewer_api": {"viewer_api", "span_processors", "migrations"},
    "migrations": {"migrations", "span_processors"},
    "cli": {"cli", "span_processors", "instrumentation", "viewer_api", "migrations"},
}
#: What a room may import while it is being imported. The command finds out first which extras are there.
AT_IMPORT = {**ARROWS, "cli": {"cli", "span_processors", "instrumentation"}}

#: The rooms of the ground floor, and which of the others each may import. All may import the modules beside them, but
#: for those that put the rooms together.
GROUND_FLOOR: dict[str, set[str]] = {
    "event": set(),
    "redaction": set(),
    "spool": set(),
    "stages": set(),
    "tree": {"event"},
    "otlp": {"event"},
    "redis": {"stages"},
    "encoding": {"event", "tree", "redaction", "redis"},
    "archive": {"event", "tree", "stages", "redis", "spool"},
}
#: The rooms of the viewer and the modules that put them together, likewise. All may import the clock and the settings.
VIEWER_ROOMS: dict[str, set[str]] = {
    "clock": set(),
    "settings": set(),
    "http": set(),
    "store": {"http"},
    "auth": {"http", "store"},
    "legacy": {"store", "auth"},
    "monitoring": {"http", "store", "auth"},
    "live": {"http", "store", "monitoring", "statistics"},
    "otlp": {"http", "store"},
    "background": {"http", "store", "live"},
    "erasure": {"http", "store"},
    "alerts": {"http", "store", "statistics"},
    "viewer": {"http", "store", "auth", "monitoring", "live", "background", "erasure", "otlp", "alerts"},
    "flows": {"http", "store", "auth", "monitoring", "viewer"},
    "jaeger": {"auth", "store", "flows", "statistics", "viewer"},
    "tempo": {"flows", "jaeger", "otlp"},
    "conversations": {"http", "store", "auth", "flows", "viewer"},
    "analysis": {"http", "store", "flows", "statistics"},
    "statistics": {"http", "store"},
    "export": {"http", "store", "flows", "jaeger"},
    "sockets": {"http", "store", "auth", "monitoring", "live", "alerts", "viewer"},
    "operations": {"http", "store", "auth", "background", "statistics", "otlp", "viewer"},
    "asgi": {"http", "auth", "operations"},
    "routes": {
        "http",
        "store",
        "auth",
        "legacy",
        "monitoring",
        "live",
        "viewer",
        "flows",
        "conversations",
        "analysis",
        "statistics",
        "export",
        "sockets",
        "operations",
        "otlp",
        "jaeger",
        "tempo",
        "alerts",
    },
    "openapi": set(),
    "lifespan": {
        "http",
        "store",
        "auth",
        "monitoring",
        "live",
        "background",
        "erasure",
        "alerts",
        "viewer",
        "flows",
        "statistics",
        "operations",
        "otlp",
    },
    "app": {"http", "auth", "legacy", "sockets", "operations", "asgi", "routes", "viewer", "lifespan", "openapi"},
}
COMPOSING = {"assembly", "pipeline", "pipeline_counts", "processor", "self_metrics"}

#: The import names of what `pip install spanflow` brings, and nothing of the extras.
BARE = {"opentelemetry", "redis", "hiredis", "asyncpg", "orjson", "packaging", "wrapt", "spanflow"}
LONGEST_FILE = 500


def modules() -> list[Path]:
    return [path for root in SOURCE_ROOTS for path in sorted((ROOT / root / "spanflow").rglob("*.py"))]


def room_of(path: Path) -> str:
    parts = path.parts
    return parts[parts.index("spanflow") + 1]


def imports(tree: ast.AST, *, at_import_only: bool = False) -> Iterator[str]:
    """Dotted names that a module imports; with `at_import_only` not those inside functions, try or TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
            if node.module == "spanflow":
                yield from (f"spanflow.{alias.name}" for alias in node.names)
        elif at_import_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Try):
            continue
        elif at_import_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        else:
            yield from imports(node, at_import_only=at_import_only)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def test_imports_run_one_way() -> None:
    wrong = []
    for path in modules():
        tree = parsed(path)
        for allowed, names in (
            (ARROWS, imports(tree)),
            (AT_IMPORT, imports(tree, at_import_only=True)),
        ):
            for name in names:
                parts = name.split(".")
                if parts[0] == "spanflow" and len(parts) > 1 and parts[1] not in allowed[room_of(path)]:
                    wrong.append(f"{shown(path)} imports {name}")
    assert sorted(set(wrong)) == []


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[parts.index("spanflow") :]).removesuffix(".__init__")


def imported_modules(path: Path, known: set[str]) -> set[str]:
    """The modules of ours that a module imports anywhere, also where only a type checker looks."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in known} - {module_name(path)}


def test_no_import_runs_in_a_circle() -> None:
    paths = {module_name(path): path for path in modules() if path.name != "__init__.py"}
    graph = {name: imported_modules(path, set(paths)) for name, path in paths.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(reversed(circle.args[1])), pytrace=False)


def test_the_rooms_of_the_ground_floor_know_only_those_below_them() -> None:
    floor = ROOT / "span_processors" / "spanflow" / "span_processors"
    wrong = []
    assert {path.name for path in floor.iterdir() if (path / "__init__.py").exists()} == set(GROUND_FLOOR)
    for room, below in GROUND_FLOOR.items():
        for path in sorted((floor / room).rglob("*.py")):
            for name in imports(parsed(path)):
                parts = name.split(".")[2:]
                if name.startswith("spanflow.span_processors.") and (
                    parts[0] in COMPOSING or (parts[0] in GROUND_FLOOR and parts[0] not in below | {room})
                ):
                    wrong.append(f"{shown(path)} imports {name}")
    assert wrong == []


def test_the_rooms_of_the_viewer_know_only_those_below_them() -> None:
    viewer = ROOT / "viewer_api" / "spanflow" / "viewer_api"
    there = {path.name for path in viewer.iterdir() if (path / "__init__.py").exists()}
    there |= {path.stem for path in viewer.glob("*.py")} - {"__init__"}
    assert there == set(VIEWER_ROOMS)
    TopologicalSorter(VIEWER_ROOMS).prepare()
    wrong = []
    for path in modules():
        room = module_name(path).split(".")[2:3]
        if room_of(path) != "viewer_api" or not room or room[0] not in VIEWER_ROOMS:
            continue
        allowed = VIEWER_ROOMS[room[0]] | {room[0], "clock", "settings"}
        for name in imports(parsed(path)):
            parts = name.split(".")
            if name.startswith("spanflow.viewer_api.") and parts[2] not in allowed:
                wrong.append(f"{shown(path)} imports {name}")
    assert sorted(set(wrong)) == []


def test_imports_are_absolute() -> None:
    wrong = [f"{shown(path)}: {name}" for path in modules() for name in imports(parsed(path)) if name.startswith(".")]
    assert wrong == []


@pytest.mark.parametrize("room", ["span_processors", "instrumentation", "cli"])
def test_what_a_gateway_installs_needs_only_the_bare_dependencies(room: str) -> None:
    allowed = BARE | sys.stdlib_module_names
    wrong = [
        f"{shown(path)} imports {name}"
        for path in modules()
        if room_of(path) == room
        for name in imports(parsed(path), at_import_only=True)
        if name.split(".")[0] not in allowed
    ]
    assert wrong == []


def test_the_namespace_has_no_init_file() -> None:
    """One stray `spanflow/__init__.py` would hide every other folder of the namespace."""
    assert [shown(path) for path in files("__init__.py") if path.parent.name == "spanflow"] == []


def test_init_files_are_empty_but_for_the_public_api() -> None:
    public = ROOT / "instrumentation/spanflow/instrumentation/__init__.py"
    for path in files("__init__.py"):
        if path == public:
            kinds = {type(node).__name__ for node in parsed(path).body}
            assert kinds <= {"Expr", "ImportFrom", "Assign", "AnnAssign"}, f"{shown(path)} holds more than the names"
        else:
            assert path.read_text().strip() == "", f"{shown(path)} is not empty"


def test_tests_are_no_package() -> None:
    assert [shown(path) for path in (ROOT / "tests").rglob("__init__.py")] == []


def test_every_package_is_typed() -> None:
    packages = {
        path.parent for path in modules() if path.name == "__init__.py" and path.parent.parent.name == "spanflow"
    }
    assert packages
    assert [shown(package) for package in packages if not (package / "py.typed").exists()] == []


def test_files_stay_small() -> None:
    long = {
        shown(path): lines
        for path in files(".py", ".ts", ".tsx", ".sh")
        if (lines := path.read_text(encoding="utf-8").count("\n")) > LONGEST_FILE
    }
    assert long == {}


def test_there_is_no_unfinished_note() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "X" + "XX")
    wrong = [
        f"{shown(path)}:{number}"
        for path in files(".py", ".ts", ".tsx")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if any(f"{mark}:" in line or f"# {mark}" in line or f"// {mark}" in line for mark in marks)
    ]
    assert wrong == []
