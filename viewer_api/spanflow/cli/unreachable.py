"""Failures of servers, told as the setting to look at instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from spanflow.cli.problem import Problem
from spanflow.span_processors.shared_settings import SharedSettings


@contextmanager
def explained(settings: SharedSettings) -> Iterator[None]:
    """Turn Postgres's refusals in the block into a `Problem`."""
    try:
        yield
    except (OSError, TimeoutError) as why:
        raise Problem(
            f"PostgreSQL cannot be reached at {without_password(settings.postgres_dsn)} ({why or 'no answer'}). "
            "Start it, or set SPANFLOW_POSTGRES_DSN."
        ) from None
    except (asyncpg.InvalidSchemaNameError, asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError) as why:
        raise Problem(f"the schema {settings.schema} is not there or too old ({why}). Run: spanflow migrate") from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as why:
        raise Problem(f"PostgreSQL at {without_password(settings.postgres_dsn)} refuses: {why}") from None


def without_password(url: str) -> str:
    """A URL for people to read."""
    parts = urlsplit(url)
    userinfo, at, hosts = parts.netloc.rpartition("@")
    name, colon, _ = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=f"{name}{':…' if colon else ''}{at}{hosts}"))
