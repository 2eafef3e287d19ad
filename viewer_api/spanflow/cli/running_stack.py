"""Find the `spanflow up` that is running on this machine, so that other commands need no settings."""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from spanflow.cli.data_directory import DataDirectory
from spanflow.span_processors.data_dir import data_directory
from spanflow.span_processors.shared_settings import SharedSettings


def with_running_stack(environ: Mapping[str, str], table: type[SharedSettings]) -> dict[str, str]:
    """`environ`, with the servers of the running `spanflow up` where it names none itself.

    `table` is the caller's own: everything that is wrong with its settings is raised at once, here.
    """
    directory = running_directory(table.from_environ(environ), environ)
    return {**directory.published(), **{name: value for name, value in environ.items() if value.strip()}}


def running_directory(settings: SharedSettings, environ: Mapping[str, str]) -> DataDirectory:
    """The data directory that commands work with: the configured one, else that of this user's last `spanflow up`, as
    long as it runs."""
    usual = DataDirectory(data_directory(settings))
    if settings.data_dir or usual.is_owned():
        return usual
    with suppress(OSError, ValueError, KeyError, TypeError):
        noted = DataDirectory(Path(json.loads(_note(environ).read_bytes())["data_dir"]))
        if noted.is_owned():
            return noted
    return usual


def note_running(path: Path, environ: Mapping[str, str]) -> None:
    """Let commands of this user find a stack whose data directory is not the usual one. It is a convenience only."""
    note = _note(environ)
    with suppress(OSError):
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(prefix=".running-", dir=note.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"data_dir": str(path)}, file)
        os.replace(partial, note)


def _note(environ: Mapping[str, str]) -> Path:
    """https://specifications.freedesktop.org/basedir-spec/latest/"""
    state = environ.get("XDG_STATE_HOME", "").strip()
    return Path(state if state else Path.home() / ".local" / "state") / "spanflow" / "running.json"
