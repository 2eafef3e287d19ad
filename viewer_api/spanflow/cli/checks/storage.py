"""The folder in which flows wait while PostgreSQL is away."""

import os
import shutil
from collections.abc import AsyncIterator

from spanflow.cli.checks.finding import Finding, Situation, ok, problem, warning
from spanflow.span_processors.data_dir import data_directory

MIB = 1024 * 1024


class DataFolder:
    title = "data directory"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        folder = data_directory(situation.settings)
        there = folder
        while not there.exists():
            there = there.parent
        if not os.access(there, os.W_OK | os.X_OK):
            repair = "Give it to the gateway's user, or set SPANFLOW_DATA_DIR."
            yield problem(f"{folder} cannot be written: flows are lost while PostgreSQL is away", repair)
            return
        free = shutil.disk_usage(there).free
        if free < 256 * MIB:
            yield warning(f"{folder}: only {free // MIB} MiB of disk are free", "Make room, or set SPANFLOW_DATA_DIR.")
        else:
            yield ok(f"{folder}, {free // MIB // 1024} GiB free")
