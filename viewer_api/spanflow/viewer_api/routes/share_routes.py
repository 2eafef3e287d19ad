"""Links that show one flow without a sign-in: made, listed, revoked, and opened."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.auth.permissions import Principal, Right, Role, Via, allowed
from spanflow.viewer_api.auth.route_access import Public
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.flows.shared_flow import written_shared
from spanflow.viewer_api.http.paging import MAX_CURSOR, cursor_of, read_cursor
from spanflow.viewer_api.http.problems import Problem, forbidden, invalid_request
from spanflow.viewer_api.http.query_values import checked_flow_id, plain
from spanflow.viewer_api.http.responses import json_response, raw_json_response
from spanflow.viewer_api.routes.large_answers import answer_of
from spanflow.viewer_api.store.audit_log import Entry
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.share_links import MAX_LINKS, NewLink, Owner, ValidLink, new_token
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

router = APIRouter(prefix="/api/v1", tags=["sharing"])
MayShare = Annotated[Principal, Depends(Needs(Right.SHARE))]
SHARE_HEADER: Final = "X-Spanflow-Share"
MAX_PAGE: Final = 200
_SAME_LIST_SECONDS: Final = 3600.0
_MAX_TOKEN: Final = 200


class NewShare(BaseModel):
    model_config = ConfigDict(extra="forbid")

    contents: Annotated[bool, Field(description="Whether it shows prompts, answers, arguments and results.")] = False
    days: Annotated[
        float | None,
        Field(gt=0, description="How long it works; SPANFLOW_SHARE_DAYS if left out.", allow_inf_nan=False),
    ] = None


@router.post("/flows/{flow_id}/shares")
async def create(request: Request, principal: MayShare, flow_id: str, body: NewShare) -> Response:
    """Make a link that shows this flow, and nothing else, without a sign-in. Its token is in this answer only."""
    viewer, flow_id = viewer_of(request), checked_flow_id(flow_id)
    days = _days(viewer, body.days)
    packed = await _visible(request, viewer, principal, flow_id)
    if body.contents and packed.flow.withheld:
        raise forbidden("This user is watched without contents: make the link without them.")
    now = _now(viewer)
    link = NewLink(flow_id, packed.flow.user_id, body.contents, now, now + timedelta(days=days))
    token = new_token()
    async with viewer.share_links.database.transaction() as connection:
        row = await viewer.share_links.add(connection, token, link, _owner(principal))
        if row is None:
            raise Problem(409, "too_many_links", f"{MAX_LINKS} of your links work: revoke some of them.")
        await viewer.audit.write_in(connection, [_entry(request, viewer, "share_created", row)])
    base = viewer.authenticator.address.base(request)
    return json_response({**_shown(row, principal, now), "token": token, "url": f"{base}/#/shared/{token}"})


@router.get("/shares")
async def links(
    request: Request,
    principal: MayShare,
    flow_id: Annotated[str | None, Query(description="Only links to this flow.")] = None,
    mine: Annotated[bool, Query(description="Only your own; others see these only in any case.")] = False,
    cursor: Annotated[str | None, Query(max_length=MAX_CURSOR)] = None,
    limit: Annotated[int, Query(ge=1)] = 50,
) -> Response:
    """Your links, the newest first; of everyone for an admin. Never their tokens."""
    viewer = viewer_of(request)
    owner = principal.owner_key if mine or principal.role is not Role.ADMIN else None
    before = read_cursor(cursor)
    limit = min(limit, MAX_PAGE)
    wanted = None if flow_id is None else checked_flow_id(flow_id)
    visible = None if principal.visible is None else sorted(principal.visible)
    await viewer.record_access(request, "shares_listed", target=wanted, once_in=_SAME_LIST_SECONDS)
    rows = await viewer.share_links.page(owner, visible, wanted, before, limit)
    now = _now(viewer)
    following = cursor_of(rows[-1]["created_at"], rows[-1]["link_id"]) if len(rows) == limit else None
    return json_response({"shares": [_shown(row, principal, now) for row in rows], "next": following})


@router.delete("/shares/{link_id}")
async def revoke(request: Request, principal: MayShare, link_id: str) -> Response:
    """End a link at once: one of your own, or any for an admin."""
    viewer = viewer_of(request)
    owner = None if principal.role is Role.ADMIN else principal.owner_key
    async with viewer.share_links.database.transaction() as connection:
        row = await viewer.share_links.revoke(connection, plain(link_id), _now(viewer), principal.name, owner)
        if row is None:
            raise Problem(404, "share_not_found", "There is no link with this id.")
        await viewer.audit.write_in(connection, [_entry(request, viewer, "share_revoked", row)])
    return json_response(_shown(row, principal, _now(viewer)))


@router.get(
    "/shared/flow",
    dependencies=[Depends(Public())],
    openapi_extra={"security": []},
    responses={404: {"description": "The token is no link's, or its link has ended."}},
)
async def shared_flow(
    request: Request,
    x_spanflow_share: Annotated[str | None, Header(description="The token of a share link.")] = None,
) -> Response:
    """The flow that a share link shows. Public: whoever has the token of a link that works may see this flow.

    A wrong token, a link that has expired or was revoked, and a flow that has gone have the same answer.
    """
    viewer, token = viewer_of(request), (x_spanflow_share or "").strip()
    remote = viewer.authenticator.remote_of(request)
    if not token:
        raise _not_shared()
    viewer.authenticator.doorkeeper.check(remote, token)
    link = await viewer.share_links.valid(token, _now(viewer)) if len(token) <= _MAX_TOKEN else None
    owner = None if link is None else await _as_of_now(viewer, link)
    if link is None or owner is None:
        await _refused(viewer, remote)
        raise _not_shared()
    visitor = Principal(f"share link {link.link_id}", Via.SHARE, Role.VIEWER)
    async with AsyncExitStack() as stack:
        viewer.rates.request(visitor)
        await stack.enter_async_context(viewer.rates.turn(visitor))
        packed = await flow_reader(viewer, owner).packed(link.flow_id)
        if packed is None or not await _written_down(viewer, link, packed.flow.user_id, remote):
            await _refused(viewer, remote)
            raise _not_shared()
        viewer.authenticator.doorkeeper.passed(token)
        metadata = None if link.contents else viewer.metadata
        return raw_json_response(await answer_of(viewer, written_shared, [packed], link.expires_at, metadata))


async def _as_of_now(viewer: Viewer, link: ValidLink) -> Principal | None:
    """Whoever made the link, with the rights that they have by now: it shows no more than they may see."""
    made_by = link.owner
    if not viewer.settings.share_max_days or made_by.role not in set(Role):
        return None
    stated = Principal(
        made_by.name, Via.SHARE, Role(made_by.role), made_by.user_id, made_by.scope, origin=made_by.origin
    )
    owner = await viewer.authenticator.renewed(stated)
    return owner if owner is not None and allowed(owner, Right.SHARE) else None


async def _written_down(viewer: Viewer, link: ValidLink, user_id: str | None, remote: str | None) -> bool:
    """Before anything is shown; False when the link has ended meanwhile."""
    async with viewer.share_links.database.transaction() as connection:
        counted = await viewer.share_links.opened(connection, link.link_id, _now(viewer))
        if counted:
            detail = (("link_id", link.link_id), ("contents", link.contents), ("created_by", link.owner.name))
            name = f"share link {link.link_id}"
            entry = Entry(name, Via.SHARE.value, "share_opened", user_id, link.flow_id, remote=remote, detail=detail)
            await viewer.audit.write_in(connection, [entry])
    return counted is not None


async def _refused(viewer: Viewer, remote: str | None) -> None:
    await viewer.authenticator.doorkeeper.failed(remote, "share link", "wrong, expired or revoked")


def _not_shared() -> Problem:
    return Problem(
        404,
        "share_not_found",
        "This link does not work: it is incomplete, expired or revoked. Ask the sender for a new one.",
    )


async def _visible(request: Request, viewer: Viewer, principal: Principal, flow_id: str) -> PackedFlow:
    packed = await flow_reader(viewer, principal).packed(flow_id)
    if packed is None:
        await viewer.missed(request, "share_created", flow_id)
        raise Problem(404, "flow_not_found", "There is no flow with this id.")
    return packed


def _days(viewer: Viewer, wanted: float | None) -> float:
    most = viewer.settings.share_max_days
    if not most:
        raise Problem(403, "sharing_is_off", "Links cannot be made here (SPANFLOW_SHARE_MAX_DAYS=0).")
    days = min(viewer.settings.share_days, most) if wanted is None else wanted
    if days > most:
        raise invalid_request(f"days: at most {most:g} (SPANFLOW_SHARE_MAX_DAYS).")
    return days


def _owner(principal: Principal) -> Owner:
    return Owner(
        principal.owner_key,
        principal.name,
        principal.user_id,
        principal.role.value,
        principal.scope,
        principal.origin,
    )


def _shown(row: Row, principal: Principal, now: datetime) -> dict[str, Any]:
    return {
        "link_id": row["link_id"],
        "flow_id": row["flow_id"],
        "user_id": shown_id(row["user_id"]),
        "contents": row["contents"],
        "state": "revoked" if row["revoked_at"] else "expired" if row["expires_at"] <= now else "active",
        "created_at": row["created_at"],
        "created_by": row["created_by"],
        "mine": row["owner"] == principal.owner_key,
        "expires_at": row["expires_at"],
        "revoked_at": row["revoked_at"],
        "revoked_by": row["revoked_by"],
        "opened": row["opened"],
        "opened_at": row["opened_at"],
    }


def _entry(request: Request, viewer: Viewer, action: str, row: Row) -> Entry:
    detail = {"link_id": row["link_id"], "contents": row["contents"], "expires_at": row["expires_at"].isoformat()}
    return viewer.entry(request, action, user_id=row["user_id"], target=row["flow_id"], detail=detail)


def _now(viewer: Viewer) -> datetime:
    return datetime.fromtimestamp(viewer.clock(), UTC)
