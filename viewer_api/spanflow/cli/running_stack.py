"""Find the embedded servers of a `spanflow up` that is running, so that other commands need no settings."""

from collections.abc import Mapping

from spanflow.cli.data_directory import DataDirectory
from spanflow.span_processors.data_dir import data_directory
from spanflow.span_processors.settings import Settings


def with_running_stack(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ`, with the servers of the running `spanflow up` where it names none itself."""
    directory = DataDirectory(data_directory(Settings.from_environ(environ)))
    return {**directory.published(), **{name: value for name, value in environ.items() if value.strip()}}
