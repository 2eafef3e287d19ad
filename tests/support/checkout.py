"""The files of this checkout, without what is installed, built or cached in it."""

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

_NOT_OURS = {".git", ".venv", ".cache", "node_modules", "dist", "build", "dashboard", "__pycache__"}
_NOT_OURS |= {".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "test-results"}

#: Folders with Python that we ship.
SOURCE_ROOTS = ("span_processors", "instrumentation", "viewer_api", "migrations")


def files(*suffixes: str) -> Iterator[Path]:
    """Every file of ours with one of these suffixes, or all of them."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in _NOT_OURS)
        for name in sorted(names):
            if not suffixes or name.endswith(suffixes):
                yield Path(folder) / name


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
