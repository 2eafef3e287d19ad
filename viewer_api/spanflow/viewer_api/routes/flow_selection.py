"""The flows that a query string names, for every route that reads many: may they be seen, and who reads them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from fastapi import Request

from spanflow.viewer_api.flows.flow_query import FlowQuery
from spanflow.viewer_api.http.problems import invalid_request
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.viewer import Viewer, viewer_of

#: People whom a part of a name, or a team, may mean.
MAX_PEOPLE: Final = 1000


async def selected(request: Request, action: str, query: FlowQuery) -> Filters:
    """The filters, with the ids of those whom a part of a name or a team means, after the look was written down."""
    viewer = viewer_of(request)
    await record_search(request, action, [query])
    return await named_people(viewer, query, query.filters)


async def record_search(request: Request, action: str, queries: Iterable[FlowQuery]) -> None:
    """Write down one look at what all these queries find; a problem when they name somebody who may not be seen."""
    viewer = viewer_of(request)
    users: dict[str, None] = {}
    targets: set[str] = set()
    said: dict[str, str] = {}
    for query in queries:
        asked = query.filters
        for wanted in asked.user_ids or ():
            await viewer.must_see(request, action, wanted)
            users[wanted] = None
        targets |= set(asked.session_ids or asked.conversation_ids or ())
        said |= query.said
    await viewer.record_access(
        request,
        action,
        user_ids=tuple(users),
        target=next(iter(targets)) if len(targets) == 1 else None,
        searched=said,
    )


async def named_people(viewer: Viewer, query: FlowQuery, filters: Filters) -> Filters:
    """The filters with the ids of those whom a part of a name and a team mean."""
    if query.person is not None:
        found = await viewer.users.ids_matching(query.person, MAX_PEOPLE + 1, filters.visible)
        filters = _among(filters, found, "user", "people match; write more of the name")
    if query.teams is not None:
        found = await viewer.users.in_teams(query.teams, MAX_PEOPLE + 1, filters.visible)
        filters = _among(filters, found, "team", "people belong to it; ask for fewer teams")
    return filters


def _among(filters: Filters, found: list[str], name: str, too_many: str) -> Filters:
    if len(found) > MAX_PEOPLE:
        raise invalid_request(f"{name}: more than {MAX_PEOPLE} {too_many}.")
    meant = found if filters.user_ids is None else [user_id for user_id in found if user_id in filters.user_ids]
    return replace(filters, user_ids=tuple(meant))
