"""Builds a Collector, a Jaeger and a Prometheus from their sources, once: `make interop-tools`, or those that are named
as arguments. They take minutes, and Go.

What is on PATH already is not built. What was built stays in the cache folder, where `spanflow up --collector` and the
tests find it.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

RECIPE = Path(__file__).resolve().parent.parent / "collector_config" / "builder.yaml"
_CORE = "go.opentelemetry.io/collector"
_JAEGER = "github.com/jaegertracing/jaeger"
#: The newest that a Go module proxy serves as a program: Jaeger 2's own numbers are no numbers of Go modules.
_JAEGER_VERSION = "v1.76.0"
_PROMETHEUS = "github.com/prometheus/prometheus"
#: As a Go module, Prometheus 3.16.0 has the number 0.316.0.
_PROMETHEUS_VERSION = "v0.316.0"
_BUILD_TIMEOUT = 3600.0
_COLLECTORS = ("otelcol-spanflow", "otelcol-contrib")


class NotBuilt(Exception):
    """It is not there and cannot be built here; the message says why."""


def collector(*, build: bool = True) -> Path:
    """A Collector with the components of collector_config/builder.yaml, or one on PATH that has them."""
    recipe = RECIPE.read_text(encoding="utf-8")
    name = f"otelcol-{_version(recipe)}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    return _on_path(_COLLECTORS) or _built(name, _build_collector, build)


def jaeger(*, build: bool = True) -> Path:
    """A Jaeger that keeps traces in memory."""
    return _on_path(("jaeger",)) or _built(f"jaeger-{_JAEGER_VERSION}", _build_jaeger, build)


def prometheus(*, build: bool = True) -> Path:
    """A Prometheus, without its web page."""
    return _on_path(("prometheus",)) or _built(f"prometheus-{_PROMETHEUS_VERSION}", _build_prometheus, build)


def cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "spanflow" / "tools"


def main(wanted: list[str]) -> int:
    """Those that are named, or all."""
    missing = 0
    for name, find in {"collector": collector, "jaeger": jaeger, "prometheus": prometheus}.items():
        if wanted and name not in wanted:
            continue
        try:
            sys.stdout.write(f"{name}: {find()}\n")
            sys.stdout.flush()
        except NotBuilt as why:
            missing += 1
            sys.stderr.write(f"{name}: {why}\n")
    return 1 if missing else 0


def _on_path(names: tuple[str, ...]) -> Path | None:
    found = next(filter(None, map(shutil.which, names)), None)
    return Path(found) if found else None


def _built(name: str, build: Callable[[Path], Path], allowed: bool) -> Path:
    program = cache() / name
    if program.exists():
        return program
    if not allowed:
        raise NotBuilt(f"{name} is neither on PATH nor built (make interop-tools)")
    if shutil.which("go") is None:
        raise NotBuilt(f"there is no Go here to build {name} with")
    sys.stderr.write(f"Building {name} with Go (once, minutes) …\n")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        try:
            made = build(Path(folder))
        except (subprocess.SubprocessError, OSError) as why:
            said = getattr(why, "stderr", None) or str(why)
            raise NotBuilt(f"{name} cannot be built here: {said.strip().splitlines()[-1]}") from None
        made.replace(program)
    return program


def _version(recipe: str) -> str:
    match = re.search(r"^  version: (\S+)$", recipe, re.MULTILINE)
    assert match is not None
    return match[1]


def _build_collector(folder: Path) -> Path:
    recipe = RECIPE.read_text(encoding="utf-8")
    version = _version(recipe)
    _go(folder, "install", f"{_CORE}/cmd/builder@v{version}", GOBIN=str(folder))
    (folder / "builder.yaml").write_text(recipe, encoding="utf-8")
    only_sources = ["--skip-get-modules", "--skip-compilation", "--config", "builder.yaml"]
    _run([str(folder / "builder"), *only_sources], folder)
    # The builder would also fetch what the components' own tests need, which not every module proxy has.
    modules = re.findall(r"^ +- gomod: (\S+ \S+)$", recipe, re.MULTILINE)
    required = "\n".join(f"\t{module}" for module in (*modules, f"{_CORE}/otelcol v{version}"))
    source = folder / "build"
    (source / "go.mod").write_text(f"module example.com/otelcol-spanflow\n\ngo 1.25.0\n\nrequire (\n{required}\n)\n")
    _go(source, "build", "-mod=mod", "-trimpath", "-ldflags", "-s -w", "-o", "otelcol", ".")
    return source / "otelcol"


def _build_jaeger(folder: Path) -> Path:
    source = _source(folder, f"{_JAEGER}@{_JAEGER_VERSION}")
    _go(source, "build", "-mod=mod", "-trimpath", "-ldflags", "-s -w", "-o", "jaeger", "./cmd/jaeger")
    return source / "jaeger"


def _build_prometheus(folder: Path) -> Path:
    source = _source(folder, f"{_PROMETHEUS}@{_PROMETHEUS_VERSION}")
    # Targets are found in a file: without the clients of every cloud, which are most of the program.
    flags = ("-mod=mod", "-trimpath", "-tags", "remove_all_sd", "-ldflags", "-s -w")
    _go(source, "build", *flags, "-o", "prometheus", "./cmd/prometheus", GOWORK="off")
    return source / "prometheus"


def _source(folder: Path, module: str) -> Path:
    """`go install` refuses modules that replace others; a copy of the source is built like the original."""
    _run(["go", "mod", "init", "example.com/x"], folder)
    said = _go(folder, "mod", "download", "-json", module)
    match = re.search(r'"Dir": "([^"]+)"', said)
    assert match is not None, said
    source = folder / "source"
    shutil.copytree(match[1], source)
    _run(["chmod", "-R", "u+w", str(source)], folder)
    return source


def _go(folder: Path, *words: str, **environment: str) -> str:
    return _run(["go", *words], folder, GOFLAGS="-buildvcs=false", **environment)


def _run(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=_BUILD_TIMEOUT,
        env={**os.environ, **environment},
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
