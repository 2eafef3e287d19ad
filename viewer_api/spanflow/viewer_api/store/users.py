"""Who is behind an id: the directory that gateways fill, and the deployment's own users where it has named them."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

from spanflow.span_processors.ids import is_id
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.database import Database, Row
from spanflow.viewer_api.store.own_users import OwnUsers
from spanflow.viewer_api.store.person import Person

#: A text of a search beyond this says nothing more.
MAX_QUERY: Final = 200
_SEARCH = "SELECT user_id, email, full_name FROM {s}.search_users($1, $2, $3::text[])"
_IN_TEAMS = """
SELECT user_id FROM {s}.user_directory
WHERE team = ANY ($1::text[]) AND ($3::text[] IS NULL OR user_id = ANY ($3)) ORDER BY user_id LIMIT $2
"""
_BY_IDS = "SELECT user_id, email, full_name, team FROM {s}.user_directory WHERE user_id = ANY($1::text[])"
_SEEN = "SELECT first_seen, last_seen FROM {s}.user_directory WHERE user_id = $1"


class UserStore:
    def __init__(self, database: Database, own: OwnUsers | None = None) -> None:
        self._database = database
        self.own = own

    @property
    def view_problem(self) -> str | None:
        """Why the deployment's own users are missing at the moment; None when they are not, or none are configured."""
        return self.own.problem if self.own is not None else None

    async def search(self, query: str, limit: int, visible: Collection[str] | None = None) -> list[Person]:
        """People with all words of `query` in their id, e-mail address or name; for an empty one, everybody.

        Those who were here last come first, then those whom only the deployment knows.
        """
        query = " ".join(query.replace("\0", " ").split())[:MAX_QUERY]
        among = None if visible is None else list(visible)
        rows = await self._database.fetch(_SEARCH, query, limit, among)
        people = {row["user_id"]: _person(row) for row in rows}
        if self.own is not None:
            found = await self.own.search(query, among, limit) or []
            theirs = {person.user_id: person for person in found}
            others = await self.own.by_ids(user_id for user_id in people if user_id not in theirs)
            theirs.update((person.user_id, person) for person in others or [])
            seen = {row["user_id"]: _person(row) for row in await self._rows(set(theirs) - set(people))}
            for user_id, person in theirs.items():
                people[user_id] = person.completed(people.get(user_id) or seen.get(user_id))
        return list(people.values())[:limit]

    async def ids_matching(self, query: str, limit: int, visible: Collection[str] | None = None) -> list[str]:
        """The ids of those whom a search finds: for filters of lists. An id that was written out is among them."""
        found = [person.user_id for person in await self.search(query, limit, visible)]
        exact = query.strip()
        if is_id(exact) and exact not in found and (visible is None or exact in visible):
            found.insert(0, exact)
        return found

    async def in_teams(self, teams: Collection[str], limit: int, visible: Collection[str] | None = None) -> list[str]:
        """The ids of those who belong to any of these teams."""
        among = None if visible is None else list(visible)
        rows = await self._database.fetch(_IN_TEAMS, list(teams), limit, among)
        return [row["user_id"] for row in rows]

    async def names_of(self, user_ids: Iterable[str | None]) -> dict[str, Person]:
        """E-mail addresses and names for a list, as far as they are known. Never an error: a list is worth more."""
        wanted = {user_id for user_id in user_ids if user_id is not None}
        if not wanted:
            return {}
        try:
            people = {row["user_id"]: _person(row) for row in await self._rows(wanted)}
        except Problem:
            return {}
        if self.own is not None:
            for person in await self.own.by_ids(sorted(wanted)) or []:
                people[person.user_id] = person.completed(people.get(person.user_id))
        return people

    async def seen(self, user_id: str) -> tuple[datetime, datetime] | None:
        """When gateways saw somebody for the first and for the last time."""
        row = await self._database.fetchrow(_SEEN, user_id)
        return (row["first_seen"], row["last_seen"]) if row is not None else None

    async def _rows(self, user_ids: Iterable[str]) -> list[Row]:
        wanted = list(user_ids)
        return await self._database.fetch(_BY_IDS, wanted) if wanted else []


def _person(row: Row) -> Person:
    return Person(row["user_id"], row["email"], row["full_name"], row.get("team"))
