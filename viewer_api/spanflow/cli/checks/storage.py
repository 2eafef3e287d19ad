"""The folder in which flows wait while PostgreSQL is away."""

import shutil
from collections.abc import AsyncIterator

from spanflow.cli.checks.finding import Finding, Situation, ok, problem
from spanflow.span_processors.archive.archive import build_spool
from spanflow.span_processors.data_dir import data_directory

GIB = 1024**3


class DataFolder:
    title = "data directory"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        folder = data_directory(situation.settings)
        if why := build_spool(situation.settings, lambda: "doctor").problem():
            repair = "Give the gateway's user a directory with free space there, or set SPANFLOW_DATA_DIR."
            yield problem(f"{folder}: nothing can be spooled, flows are lost while PostgreSQL is away: {why}", repair)
            return
        there = next(path for path in (folder, *folder.parents) if path.exists())
        yield ok(f"{folder}, {shutil.disk_usage(there).free // GIB} GiB free")
