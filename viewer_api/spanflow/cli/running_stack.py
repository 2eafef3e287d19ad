"""Find the embedded servers of a `spanflow up` that is running, so that other commands need no settings."""

from collections.abc import Mapping

from spanflow.cli.data_directory import DataDirectory
from spanflow.span_processors.data_dir import data_directory
from spanflow.span_processors.shared_settings import SharedSettings


def with_running_stack(environ: Mapping[str, str], table: type[SharedSettings]) -> dict[str, str]:
    """`environ`, with the servers of the running `spanflow up` where it names none itself.

    `table` is the caller's own: everything that is wrong with its settings is raised at once, here.
    """
    directory = DataDirectory(data_directory(table.from_environ(environ)))
    return {**directory.published(), **{name: value for name, value in environ.items() if value.strip()}}
