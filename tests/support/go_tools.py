"""A real Collector and a real Jaeger, built from their sources where the machine can: they take minutes, once."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gateway_process import CHECKOUT

RECIPE = CHECKOUT / "collector_config" / "builder.yaml"
_CORE = "go.opentelemetry.io/collector"
_JAEGER = "github.com/jaegertracing/jaeger"
_JAEGER_VERSION = "v1.76.0"
_BUILD_TIMEOUT = 1800.0


def collector() -> Path:
    """A Collector with the components of collector_config/builder.yaml, or one on PATH that has them."""
    on_path = shutil.which("otelcol-contrib")
    if on_path is not None:
        return Path(on_path)
    recipe = RECIPE.read_text(encoding="utf-8")
    return _built(f"otelcol-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}", _build_collector)


def jaeger() -> Path:
    """A Jaeger that keeps traces in memory."""
    on_path = shutil.which("jaeger")
    if on_path is not None:
        return Path(on_path)
    return _built(f"jaeger-{_JAEGER_VERSION}", _build_jaeger)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "spanflow-tests"


def _built(name: str, build: Callable[[Path], Path]) -> Path:
    program = _cache() / name
    if program.exists():
        return program
    if shutil.which("go") is None:
        pytest.skip(f"no Go here to build {name} with")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        try:
            made = build(Path(folder))
        except (subprocess.SubprocessError, OSError) as why:
            said = getattr(why, "stderr", None) or str(why)
            pytest.skip(f"{name} cannot be built here: {said.strip().splitlines()[-1]}")
        made.replace(program)
    return program


def _build_collector(folder: Path) -> Path:
    recipe = RECIPE.read_text(encoding="utf-8")
    match = re.search(r"^  version: (\S+)$", recipe, re.MULTILINE)
    assert match is not None
    version = match[1]
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
    # `go install` refuses modules that replace others; a copy of the source is built like the original.
    _run(["go", "mod", "init", "example.com/x"], folder)
    said = _go(folder, "mod", "download", "-json", f"{_JAEGER}@{_JAEGER_VERSION}")
    match = re.search(r'"Dir": "([^"]+)"', said)
    assert match is not None, said
    source = folder / "source"
    shutil.copytree(match[1], source)
    _run(["chmod", "-R", "u+w", str(source)], folder)
    _go(source, "build", "-mod=mod", "-trimpath", "-ldflags", "-s -w", "-o", "jaeger", "./cmd/jaeger")
    return source / "jaeger"


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
