"""Statistics of flows and their steps. Every number of flows says where these flows are."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.datastructures import QueryParams
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.flows.flow_query import flow_query
from spanflow.viewer_api.http.problems import invalid_request
from spanflow.viewer_api.http.query_values import check_range
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.routes.flow_selection import searchable
from spanflow.viewer_api.statistics.answers import (
    GROUPS_OF_FLOWS,
    SORTS,
    Question,
    flows_answer,
    funnel_answer,
    steps_answer,
)
from spanflow.viewer_api.statistics.counted import Source
from spanflow.viewer_api.statistics.direct import MAX_FLOWS, MAX_WITH_STEPS, DirectStatistics, narrowed
from spanflow.viewer_api.statistics.links import Links
from spanflow.viewer_api.statistics.periods import DAY, HOUR, MINUTE, aligned, oldest_minute
from spanflow.viewer_api.statistics.stored import STEP_GROUPS, StoredStatistics
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.person import names_in
from spanflow.viewer_api.viewer import Needs, viewer_of

router = APIRouter(prefix="/api/v1/statistics", tags=["statistics"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
Since = Annotated[str | None, Query(description="Flows that began at this time or later; a day ago if left out.")]
Until = Annotated[str | None, Query(description="Flows that began before this time; now if left out.")]
Interval = Annotated[str | None, Query(description="A series as well, with a point per minute, hour or day.")]
Sort = Annotated[str, Query(description=f"What comes first: {', '.join(SORTS)}.")]
Limit = Annotated[int, Query(ge=1, description="So many groups; 500 at most.")]
_INTERVALS: Final = {"minute": MINUTE, "hour": HOUR, "day": DAY}
_MAX_GROUPS: Final = 500
#: Points that one series has at most.
_MAX_POINTS: Final = 2000
#: Parameters that are no filters of flows, or have another meaning here.
_OWN: Final = ("since", "until", "group_by", "interval", "sort", "limit")
_NOT_HERE: Final = ("cursor", "count", "started_since", "started_until")


@dataclass(frozen=True, slots=True)
class _Asked:
    source: Source
    links: Links
    head: dict[str, Any]


@router.get("/steps")
async def steps(
    request: Request,
    principal: MayRead,
    group_by: Annotated[str, Query(description=f"One of {', '.join(STEP_GROUPS)}.")] = "checkpoint",
    interval: Interval = None,
    sort: Sort = "count",
    limit: Limit = 50,
    since: Since = None,
    until: Until = None,
) -> Response:
    """How often steps happen, how long they take, what goes wrong, and what they cost.

    Filters of `GET /flows` choose the flows whose steps are counted. A call that several spans tell of is one step.
    `self_ms` is the time that no step below accounts for: sorted by it, the answer says where the time goes.
    """
    question = Question(
        _one_of("group_by", group_by, STEP_GROUPS),
        _one_of("sort", sort, SORTS),
        min(limit, _MAX_GROUPS),
        _seconds(interval),
    )
    asked = await _asked(request, principal, "steps", question.interval, most=MAX_WITH_STEPS)
    answer = await steps_answer(asked.source, asked.links, question)
    return json_response({**asked.head, "group_by": group_by, "interval": interval, **answer})


@router.get("/flows")
async def flows(
    request: Request,
    principal: MayRead,
    group_by: Annotated[str, Query(description=f"One of {', '.join(GROUPS_OF_FLOWS)}.")] = "none",
    interval: Interval = None,
    sort: Sort = "count",
    limit: Limit = 50,
    since: Since = None,
    until: Until = None,
) -> Response:
    """How many flows there are, how long they take, what becomes of them, and what they cost; by user as well."""
    question = Question(
        _one_of("group_by", group_by, GROUPS_OF_FLOWS),
        _one_of("sort", sort, SORTS),
        min(limit, _MAX_GROUPS),
        _seconds(interval),
    )
    asked = await _asked(request, principal, "flows", question.interval, most=MAX_FLOWS, stored=group_by != "user")
    answer = await flows_answer(asked.source, asked.links, question)
    if group_by == "user":
        people = await viewer_of(request).users.names_of(str(group["value"]) for group in answer["groups"])
        for group in answer["groups"]:
            group |= names_in(people, str(group["value"]))
    return json_response({**asked.head, "group_by": group_by, "interval": interval, **answer})


@router.get("/funnel")
async def funnel(request: Request, principal: MayRead, since: Since = None, until: Until = None) -> Response:
    """How far flows come through the gates: how many reach each, pass it, end there, are denied, fail or give up.

    `reached` is the sum of the five others.
    """
    asked = await _asked(request, principal, "funnel", None, most=MAX_WITH_STEPS)
    return json_response({**asked.head, **await funnel_answer(asked.source, asked.links)})


async def _asked(
    request: Request, principal: Principal, what: str, interval: int | None, *, most: int, stored: bool = True
) -> _Asked:
    """Where the answer is counted from. Precomputed statistics cover all users, without any filter."""
    viewer = viewer_of(request)
    given = request.query_params.multi_items()
    for name, value in given:
        if name in _NOT_HERE and value:
            raise invalid_request(f"{name}: there is no such parameter here. since and until say when flows began.")
    pairs = tuple((name, value) for name, value in given if name not in _OWN and value)
    times = [(f"started_{name}", value) for name, value in given if name in ("since", "until") and value]
    query = flow_query(QueryParams([*pairs, *times]), principal)
    now = datetime.fromtimestamp(viewer.clock(), UTC)
    until = query.filters.started_until or now
    since = query.filters.started_since or until - timedelta(days=1)
    check_range(since, until, viewer.settings.viewer_max_range_days)
    if interval is not None and (until - since).total_seconds() / interval > _MAX_POINTS:
        raise invalid_request(f"interval: that would be more than {_MAX_POINTS} points.")
    if interval == MINUTE and since < oldest_minute(now):
        raise invalid_request("interval: minutes are kept for three days; ask for hours.")
    for wanted in query.filters.user_ids or ():
        await viewer.must_see(request, "statistics_read", wanted)
    await viewer.record_access(
        request, "statistics_read", user_ids=query.filters.user_ids or (), target=what, searched=query.searched
    )
    since, until = aligned(since, until, now, interval or MINUTE)
    source: Source
    shortened = False
    if stored and not pairs and principal.visible is None:
        source = StoredStatistics(viewer.database, since, until)
    else:
        filters = replace(query.filters, started_since=since, started_until=until)
        filters = await _kept(viewer.database, await searchable(viewer, principal, query, filters), most)
        shortened = filters.started_since != since
        since = filters.started_since or since
        source = DirectStatistics(viewer.database, filters, viewer.prices)
    head = {
        "since": since,
        "until": until,
        "shortened": shortened,
        "waiting": await source.waiting(),
    }
    return _Asked(source, Links(pairs, since, until), head)


async def _kept(database: Any, filters: Filters, most: int) -> Filters:
    return filters if filters.nothing_stored else await narrowed(database, filters, most)


def _one_of(name: str, value: str, known: Any) -> str:
    if value not in known:
        raise invalid_request(f"{name}: one of {', '.join(known)}.")
    return value


def _seconds(interval: str | None) -> int | None:
    return None if not interval else _INTERVALS[_one_of("interval", interval, _INTERVALS)]
