"""Searches of flows under names."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right, Role, allowed
from spanflow.viewer_api.flows.saved_filter import MAX_LENGTH, address, asked, parsed_filter
from spanflow.viewer_api.http.problems import Problem, forbidden
from spanflow.viewer_api.http.query_values import plain
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.store.audit_log import Entry
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.saved_filters import MAX_FILTERS, NewFilter
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

router = APIRouter(prefix="/api/v1/filters", tags=["filters"])
MayRead = Annotated[Principal, Depends(Needs(Right.READ))]
_SAME_LIST_SECONDS: Final = 3600.0
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$")
]


class FilterBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    filter: Annotated[
        str,
        Field(max_length=MAX_LENGTH, description="As in the dashboard's address: `outcome=denied&range=24h`."),
    ]
    shared: Annotated[bool, Field(description="Whether everyone finds it; needs the right `share`.")] = False


@router.get("")
async def saved(request: Request, principal: MayRead) -> Response:
    """Your saved filters, and those that others share, by name.

    `filter` is what stands in the dashboard's address, `query` the parameters of `/flows` that find the same now.
    """
    viewer = viewer_of(request)
    await viewer.record_access(request, "filters_listed", once_in=_SAME_LIST_SECONDS)
    verdicts = allowed(principal, Right.ANNOTATE)
    rows = await viewer.saved_filters.of(principal.owner_key, principal.visible, verdicts=verdicts)
    now = _now(viewer)
    return json_response({"filters": [_shown(row, principal, now) for row in rows]})


@router.post("")
async def save(request: Request, principal: MayRead, body: FilterBody) -> Response:
    """Save a search of flows under a name. One of your own under the same name is replaced."""
    viewer = viewer_of(request)
    if body.shared and not allowed(principal, Right.SHARE):
        raise forbidden(f"shared: you need the right '{Right.SHARE}' for this.")
    now = _now(viewer)
    new = NewFilter(
        name=body.name.encode(errors="replace").decode(),
        filter=parsed_filter(body.filter, principal, now),
        shared=body.shared,
        owner=principal.owner_key,
        created_by=principal.name,
        owner_user_id=principal.user_id,
    )
    async with viewer.saved_filters.database.transaction() as connection:
        row = await viewer.saved_filters.save(connection, new, now)
        if row is None:
            raise Problem(409, "too_many_filters", f"You have {MAX_FILTERS} saved filters: delete some of them.")
        await viewer.audit.write_in(connection, _entries(request, viewer, "filter_saved", row))
    return json_response(_shown(row, principal, now))


@router.delete("/{filter_id}")
async def delete(request: Request, principal: MayRead, filter_id: str) -> Response:
    """Delete a saved filter: one of your own, or any that is shared for an admin."""
    viewer = viewer_of(request)
    async with viewer.saved_filters.database.transaction() as connection:
        row = await viewer.saved_filters.delete(
            connection, plain(filter_id), principal.owner_key, shared=principal.role is Role.ADMIN
        )
        if row is None:
            raise Problem(404, "filter_not_found", "There is no such saved filter of yours.")
        await viewer.audit.write_in(connection, _entries(request, viewer, "filter_deleted", row))
    return json_response({"status": "deleted", "filter_id": row["filter_id"]})


def _shown(row: Row, principal: Principal, now: datetime) -> dict[str, Any]:
    wanted = orjson.loads(row["filter"])
    return {
        "filter_id": row["filter_id"],
        "name": row["name"],
        "filter": address(wanted),
        "query": urlencode(asked(wanted, now)),
        "shared": row["shared"],
        "mine": row["owner"] == principal.owner_key,
        "created_at": row["created_at"],
        "created_by": row["created_by"],
        "changed_at": row["changed_at"],
    }


def _entries(request: Request, viewer: Viewer, action: str, row: Row) -> list[Entry]:
    """One for each user whom it names."""
    detail = {"name": row["name"], "shared": row["shared"], "created_by": row["created_by"]}
    return [
        viewer.entry(request, action, user_id=user_id, target=row["filter_id"], detail=detail)
        for user_id in row["user_ids"] or (None,)
    ]


def _now(viewer: Viewer) -> datetime:
    return datetime.fromtimestamp(viewer.clock(), UTC)
