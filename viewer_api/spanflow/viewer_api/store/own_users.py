"""The deployment's own table or view of its users, such as an auth service's.

It is read at request time; nothing is copied. When it cannot be read, or not quickly, the
directory that gateways fill answers alone for a while, and the log says why.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from spanflow.span_processors.ids import is_id
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from spanflow.viewer_api.store.database import Database, Row
from spanflow.viewer_api.store.person import Person

log = logging.getLogger(__name__)

#: A search waits for it no longer than this, in seconds.
_PATIENCE: Final = 2.0
#: After a failure it is left alone for so long.
_PAUSE_SECONDS: Final = 30.0
_SEARCHED_WORD: Final = 3
_COLUMNS = """
SELECT attname AS name, format_type(atttypid, NULL) AS type,
       has_column_privilege(attrelid, attnum, 'SELECT') AS readable
FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_INTEGERS: Final = frozenset({"smallint", "integer", "bigint"})
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INTEGER: Final = re.compile(r"-?[1-9][0-9]{0,17}|0", re.ASCII)
#: What a statement fails by when the table is gone, closed to us, slow or of another shape.
_FAILURES: Final = (Problem, asyncpg.PostgresError)


@dataclass(frozen=True, slots=True)
class UsersView:
    """Where it is and which of its columns say what. Names are as Postgres stores them; an empty one: no column."""

    name: tuple[str, ...]
    id: str = "id"
    email: str = "email"
    full_name: str = "full_name"

    @property
    def sql(self) -> str:
        return ".".join(quoted(part) for part in self.name)

    def text(self, column: str) -> str:
        return f"{quoted(column)}::text" if column else "NULL::text"

    def columns(self) -> list[str]:
        return [column for column in (self.id, self.email, self.full_name) if column]


def view_of(settings: ViewerSettings) -> UsersView | None:
    """The one that is configured."""
    return UsersView(settings.users_view, *settings.users_columns) if settings.users_view else None


def own_users(settings: ViewerSettings, database: Database) -> "OwnUsers | None":
    view = view_of(settings)
    return OwnUsers(database, view) if view is not None else None


def quoted(name: str) -> str:
    """Any name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


async def problem_of(connection: Any, view: UsersView) -> str | None:
    """Why the view cannot be used, in words for who set it; None when it can. Raises what Postgres raises."""
    try:
        rows = await connection.fetch(_COLUMNS, view.sql)
    except asyncpg.InsufficientPrivilegeError:
        return f"this database user may not use the schema of {view.sql}: GRANT USAGE ON SCHEMA …"
    if not rows:
        return f"there is no table or view {view.sql} in this database"
    readable = {row["name"]: row["readable"] for row in rows}
    missing = [column for column in view.columns() if column not in readable]
    if missing:
        return f"{view.sql} has no column {', '.join(map(quoted, missing))}; it has {', '.join(readable)}"
    closed = [column for column in view.columns() if not readable[column]]
    if closed:
        return f"this database user may not read {view.sql}: GRANT SELECT ON {view.sql} …"
    return None


class OwnUsers:
    """Reads the view. Both questions answer None when it cannot be read, never an error."""

    def __init__(self, database: Database, view: UsersView, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._view = view
        self._monotonic = monotonic
        self._id_type: str | None = None
        self._again_at = 0.0
        #: Why it cannot be used at the moment.
        self.problem: str | None = None

    async def search(self, query: str, among: Sequence[str] | None, limit: int) -> list[Person] | None:
        """People with all words of `query` in their id, e-mail address or name, by address and name."""
        view = self._view
        everything = " || ' ' || ".join(f"coalesce({view.text(column)}, '')" for column in view.columns()[::-1])
        conditions = [f"{quoted(view.id)} IS NOT NULL"]
        values: list[Any] = [limit]
        if query:
            values.append(query)
            conditions.append(f"{{s}}.has_words({{s}}.folded({everything}), {{s}}.search_words(${len(values)}))")
            longest = max(query.split(), key=len, default="")
            if len(longest) >= _SEARCHED_WORD:
                # Says nothing new, but an index of the deployment's own can be used for it.
                values.append(longest)
                conditions.append(f"{{s}}.folded({everything}) LIKE {{s}}.like_any_part(${len(values)})")
        if among is not None:
            values.append(list(among))
            conditions.append(f"{view.text(view.id)} = ANY(${len(values)}::text[])")
        text = (
            f"SELECT {self._wanted()} FROM {view.sql} WHERE {' AND '.join(conditions)} "
            "ORDER BY email NULLS LAST, full_name NULLS LAST, user_id LIMIT $1"
        )
        return await self._read(lambda connection: connection.fetch(self._database.sql(text), *values))

    async def by_ids(self, user_ids: Iterable[str]) -> list[Person] | None:
        """Those of these users that it has."""
        wanted = list(user_ids)

        async def ask(connection: Any) -> list[Row]:
            if self._id_type is None:
                rows = await connection.fetch(_COLUMNS, self._view.sql)
                self._id_type = next((row["type"] for row in rows if row["name"] == self._view.id), "text")
            column, ids = quoted(self._view.id), wanted
            # Compared in the column's own type, so that its index is used; an id of another type matches no user.
            if self._id_type in _INTEGERS:
                ids = [user_id for user_id in wanted if _INTEGER.fullmatch(user_id)]
                condition = f"{column} = ANY($1::text[]::bigint[])"
            elif self._id_type == "uuid":
                ids = [user_id for user_id in wanted if _UUID.fullmatch(user_id)]
                condition = f"{column} = ANY($1::text[]::uuid[])"
            else:
                condition = f"{column}::text = ANY($1::text[])"
            text = f"SELECT {self._wanted()} FROM {self._view.sql} WHERE {condition}"
            matching_rows: list[Row] = await connection.fetch(text, ids)
            return matching_rows

        return await self._read(ask) if wanted else []

    async def check(self) -> None:
        """Check it before the first request."""
        try:
            async with self._database.transaction(readonly=True) as connection:
                problem = await problem_of(connection, self._view)
        except _FAILURES as why:
            problem = _words(why)
        self._is(problem)

    def _wanted(self) -> str:
        view = self._view
        return (
            f"{view.text(view.id)} AS user_id, {view.text(view.email)} AS email, "
            f"{view.text(view.full_name)} AS full_name"
        )

    async def _read(self, ask: Callable[[Any], Any]) -> list[Person] | None:
        if self.problem is not None and self._monotonic() < self._again_at:
            return None
        try:
            async with self._database.transaction(readonly=True, within=_PATIENCE) as connection:
                rows = await ask(connection)
        except _FAILURES as why:
            self._is(_words(why))
            return None
        self._is(None)
        people: dict[str, Person] = {}
        for row in rows:
            if is_id(row["user_id"]):
                people.setdefault(
                    row["user_id"], Person(row["user_id"], row["email"] or None, row["full_name"] or None)
                )
        return list(people.values())

    def _is(self, problem: str | None) -> None:
        """Remember its state and log changes."""
        if problem is not None:
            self._again_at = self._monotonic() + _PAUSE_SECONDS
            self._id_type = None
            if problem != self.problem:
                log.warning(
                    "SPANFLOW_USERS_VIEW cannot be read (%s); people are found among those gateways have seen.", problem
                )
        elif self.problem is not None:
            log.info("SPANFLOW_USERS_VIEW can be read again")
        self.problem = problem


def _words(why: Exception) -> str:
    """One line for a log."""
    if isinstance(why, Problem):
        cause = why.__cause__
        slow = why.code == "query_timeout"
        return "it takes too long" if slow else str(cause or why.detail).splitlines()[0]
    return (str(why) or type(why).__name__).splitlines()[0]
