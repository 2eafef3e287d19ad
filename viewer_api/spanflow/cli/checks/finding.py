"""What a check finds, and what it finds it in."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import asyncpg

from spanflow.cli.checks.startup_report import StartupReport
from spanflow.span_processors.redis.redis_client import AsyncClient
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.shared_settings import SharedSettings

if TYPE_CHECKING:
    from spanflow.viewer_api.settings.viewer_settings import ViewerSettings


class Level(StrEnum):
    OK = "ok"
    #: Worth knowing; nothing has to be done.
    NOTE = "note"
    #: Works now, and is likely to cause trouble.
    WARNING = "warning"
    #: Does not work.
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    message: str
    #: What to do about it.
    repair: str | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What every check looks at. What could not be had is None, and then `…_problem` says why."""

    settings: SharedSettings
    gateway: Settings | None
    gateway_problem: str
    viewer: "ViewerSettings | None"
    viewer_problem: str
    environ: Mapping[str, str]
    #: The gateway's own, as it is given to a server (`app:app`); empty where none was named.
    module: str
    redis: AsyncClient | None
    redis_problem: str
    postgres: asyncpg.Connection | None
    postgres_problem: str
    startup: StartupReport | None
    startup_problem: str


class Check(Protocol):
    title: str

    def run(self, situation: Situation) -> AsyncIterator[Finding]: ...


def ok(message: str) -> Finding:
    return Finding(Level.OK, message)


def note(message: str, repair: str | None = None) -> Finding:
    return Finding(Level.NOTE, message, repair)


def warning(message: str, repair: str) -> Finding:
    return Finding(Level.WARNING, message, repair)


def problem(message: str, repair: str) -> Finding:
    return Finding(Level.PROBLEM, message, repair)
