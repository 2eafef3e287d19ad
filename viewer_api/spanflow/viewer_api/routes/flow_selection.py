"""The flows that a query string names, for every route that reads many: may they be seen, and who reads them."""

from collections.abc import Iterable
from dataclasses import replace

from fastapi import Request

from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.flows.flow_query import FlowQuery
from spanflow.viewer_api.flows.flow_reader import withheld_from
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.viewer import Viewer, principal_of, viewer_of


async def selected(request: Request, action: str, query: FlowQuery) -> Filters:
    """The filters, with the ids of those whom a part of a name or a team means, after the look was written down."""
    viewer = viewer_of(request)
    await record_search(request, action, [query])
    return await searchable(viewer, principal_of(request), query, query.filters)


async def record_search(request: Request, action: str, queries: Iterable[FlowQuery]) -> None:
    """Write one audit entry for all these queries; a problem when they name a user who may not be seen."""
    viewer = viewer_of(request)
    users: dict[str, None] = {}
    targets: set[str] = set()
    searched: dict[str, str] = {}
    for query in queries:
        asked = query.filters
        for wanted in asked.user_ids or ():
            await viewer.must_see(request, action, wanted)
            users[wanted] = None
        targets |= set(asked.session_ids or asked.conversation_ids or ())
        searched |= query.searched
    await viewer.record_access(
        request,
        action,
        user_ids=tuple(users),
        target=next(iter(targets)) if len(targets) == 1 else None,
        searched=searched,
    )


async def searchable(viewer: Viewer, principal: Principal, query: FlowQuery, filters: Filters) -> Filters:
    """The filters with the ids of those whom a part of a name and a team mean, and of those whom no text may find."""
    users = await viewer.users.meant(filters.user_ids, query.person, query.teams, filters.visible)
    return replace(filters, user_ids=users, silent=withheld_from(viewer, principal).silent())
