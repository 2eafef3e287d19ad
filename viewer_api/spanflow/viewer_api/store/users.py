"""Who is behind an id: the directory that gateways fill, and the deployment's own users where it has named them."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

from spanflow.span_processors.ids import is_id
from spanflow.viewer_api.http.problems import Problem, invalid_request
from spanflow.viewer_api.store.database import Database, Row, as_array
from spanflow.viewer_api.store.own_users import OwnUsers
from spanflow.viewer_api.store.person import Person

#: A text of a search beyond this says nothing more.
MAX_QUERY: Final = 200
#: Users whom a part of a name, or a team, may mean in a filter.
MAX_MEANT: Final = 1000
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
        """People with all words of `query` in their id, e-mail address or name; for an empty one, all users.

        Those who were here last come first, then those whom only the deployment knows.
        """
        query = " ".join(query.replace("\0", " ").split())[:MAX_QUERY]
        among = as_array(visible)
        rows = await self._database.fetch(_SEARCH, query, limit, among)
        people = {row["user_id"]: _person(row) for row in rows}
        if self.own is not None:
            own_people = await self.own.search(query, among, limit) or []
            theirs = {person.user_id: person for person in own_people}
            others = await self.own.by_ids(user_id for user_id in people if user_id not in theirs)
            theirs.update((person.user_id, person) for person in others or [])
            seen = {row["user_id"]: _person(row) for row in await self._rows(set(theirs) - set(people))}
            for user_id, person in theirs.items():
                people[user_id] = person.completed(people.get(user_id) or seen.get(user_id))
        return list(people.values())[:limit]

    async def meant(
        self,
        user_ids: Collection[str] | None,
        person: str | None,
        teams: Collection[str] | None,
        visible: Collection[str] | None,
    ) -> tuple[str, ...] | None:
        """The users that the filters of a list mean: those ids, part of a name, members of teams; None: all users."""
        if person is not None:
            matching = await self._ids_matching(person, MAX_MEANT + 1, visible)
            user_ids = _narrowed(user_ids, matching, "user", "people match; write more of the name")
        if teams is not None:
            rows = await self._database.fetch(_IN_TEAMS, list(teams), MAX_MEANT + 1, as_array(visible))
            members = [row["user_id"] for row in rows]
            user_ids = _narrowed(user_ids, members, "team", "people belong to it; ask for fewer teams")
        return None if user_ids is None else tuple(user_ids)

    async def _ids_matching(self, query: str, limit: int, visible: Collection[str] | None) -> list[str]:
        """The ids that a search finds. An id that was written out is among them."""
        matching = [person.user_id for person in await self.search(query, limit, visible)]
        exact = query.strip()
        if is_id(exact) and exact not in matching and (visible is None or exact in visible):
            matching.insert(0, exact)
        return matching

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
        """When gateways first and last saw a user."""
        row = await self._database.fetchrow(_SEEN, user_id)
        return (row["first_seen"], row["last_seen"]) if row is not None else None

    async def _rows(self, user_ids: Iterable[str]) -> list[Row]:
        wanted = list(user_ids)
        return await self._database.fetch(_BY_IDS, wanted) if wanted else []


def _person(row: Row) -> Person:
    return Person(row["user_id"], row["email"], row["full_name"], row.get("team"))


def _narrowed(user_ids: Collection[str] | None, meant: list[str], name: str, too_many: str) -> list[str]:
    if len(meant) > MAX_MEANT:
        raise invalid_request(f"{name}: more than {MAX_MEANT} {too_many}.")
    return meant if user_ids is None else [user_id for user_id in meant if user_id in user_ids]
