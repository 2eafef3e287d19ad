"""Channels that alerts are sent by. Addresses and secrets go in and never come out again."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from spanflow.viewer_api.alerts.channel_store import Channel
from spanflow.viewer_api.alerts.rule import Name
from spanflow.viewer_api.alerts.signature import SecretError, key_of, new_secret
from spanflow.viewer_api.alerts.webhook import checked_url, origin_of
from spanflow.viewer_api.auth.permissions import Principal, Right
from spanflow.viewer_api.http.problems import Problem, forbidden, invalid_request
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.store.database import Connection
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

router = APIRouter(prefix="/api/v1/alerts/channels", tags=["alerts"])
MayMonitor = Annotated[Principal, Depends(Needs(Right.MONITOR))]
_SAME_LIST_SECONDS = 3600.0


class ChannelBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    enabled: bool = True
    url: Annotated[str | None, Field(max_length=2000, description="Of a webhook. It is not shown again.")] = None
    secret: Annotated[
        str | None,
        Field(
            max_length=200, description="Signs webhooks: whsec_ and base64. Left out, a new one is made and told once."
        ),
    ] = None
    tag: Annotated[
        Name | None, Field(description="Of apprise: a tag of the file that SPANFLOW_ALERT_APPRISE names.")
    ] = None


class NewChannel(ChannelBody):
    kind: Literal["webhook", "log", "apprise"]


@router.get("")
async def channels(request: Request, principal: MayMonitor) -> Response:
    """All channels, without their secrets."""
    viewer = viewer_of(request)
    _must_see_everybody(principal)
    await viewer.record_access(request, "alert_channels_read", once_in=_SAME_LIST_SECONDS)
    stored_channels = await viewer.alerts.channels.all()
    kinds = {"webhook": None, "log": None, "apprise": viewer.alerts.apprise.problem}
    return json_response(
        {
            "channels": [_shown(channel) for channel in stored_channels],
            "kinds": [{"kind": kind, "problem": problem} for kind, problem in kinds.items()],
        }
    )


@router.post("")
async def create(request: Request, principal: MayMonitor, body: NewChannel) -> Response:
    """Make a channel. The secret of a webhook is in this answer, if it was made here, and in no other."""
    viewer = viewer_of(request)
    _must_see_everybody(principal)
    shown, hidden = _settings(body.kind, body, {}, {})
    made = new_secret() if body.kind == "webhook" and "secret" not in hidden else None
    if made is not None:
        hidden["secret"] = made
    async with viewer.alerts.channels.database.transaction() as connection:
        channel_id = await viewer.alerts.channels.add(
            connection, body.name, body.kind, shown, hidden, body.enabled, principal.name, _now(viewer)
        )
        channel = await _known(viewer, connection, channel_id)
        await _write_down(request, viewer, connection, "alert_channel_created", channel)
    return json_response({**_shown(channel), **({"secret": made} if made else {})})


@router.put("/{channel_id}")
async def change(request: Request, principal: MayMonitor, channel_id: str, body: ChannelBody) -> Response:
    """Change a channel. An address or a secret that is left out stays as it is."""
    viewer = viewer_of(request)
    _must_see_everybody(principal)
    async with viewer.alerts.channels.database.transaction() as connection:
        before = await _known(viewer, connection, channel_id)
        shown, hidden = _settings(before.kind, body, before.shown, before.hidden)
        if "url" in before.hidden and hidden["url"] != before.hidden["url"] and body.secret is None:
            # Otherwise a new address would receive messages signed with a secret that its author does not know.
            raise invalid_request("secret: with another address, state the secret as well.")
        changed = replace(before, name=body.name, enabled=body.enabled, shown=shown, hidden=hidden)
        await viewer.alerts.channels.change(connection, changed, principal.name, _now(viewer))
        channel = await _known(viewer, connection, channel_id)
        await _write_down(request, viewer, connection, "alert_channel_changed", channel)
    return json_response(_shown(channel))


@router.delete("/{channel_id}")
async def delete(request: Request, principal: MayMonitor, channel_id: str) -> Response:
    """Remove a channel with the log of its deliveries. Rules that name it go on without it."""
    viewer = viewer_of(request)
    _must_see_everybody(principal)
    async with viewer.alerts.channels.database.transaction() as connection:
        channel = await _known(viewer, connection, channel_id)
        await viewer.alerts.channels.delete(connection, channel_id)
        await _write_down(request, viewer, connection, "alert_channel_deleted", channel)
    return json_response({"status": "deleted", "channel_id": channel_id})


@router.post("/{channel_id}/test")
async def test(request: Request, principal: MayMonitor, channel_id: str) -> Response:
    """Send a test message now, once, and say what became of it."""
    viewer = viewer_of(request)
    _must_see_everybody(principal)
    deliveries = viewer.alerts.deliveries
    async with viewer.alerts.channels.database.transaction() as connection:
        channel = await _known(viewer, connection, channel_id)
        await _write_down(request, viewer, connection, "alert_channel_tested", channel)
        delivery_id = await deliveries.test(connection, channel)
    answer = await deliveries.made(delivery_id, channel)
    return json_response(
        {
            "delivery_id": delivery_id,
            "delivered": answer.delivered,
            "http_status": answer.status,
            "problem": answer.problem,
        }
    )


def _shown(channel: Channel) -> dict[str, Any]:
    return {
        "channel_id": channel.channel_id,
        "name": channel.name,
        "kind": channel.kind,
        "origin": channel.shown.get("origin"),
        "tag": channel.shown.get("tag"),
        "enabled": channel.enabled,
        "version": channel.version,
        "created_at": channel.created_at,
        "created_by": channel.created_by,
        "changed_at": channel.changed_at,
        "changed_by": channel.changed_by,
    }


def _settings(
    kind: str, body: ChannelBody, shown: dict[str, Any], hidden: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What may be shown of a channel and what may not, with what the body says."""
    wanted = {"webhook": {"url", "secret"}, "apprise": {"tag"}}.get(kind, set())
    for name in ("url", "secret", "tag"):
        if getattr(body, name) is not None and name not in wanted:
            raise invalid_request(f"{name}: a channel of the kind {kind} has none.")
    if kind == "webhook":
        url = body.url or hidden.get("url")
        if url is None:
            raise invalid_request("url: say where the webhook is.")
        hidden = {**hidden, "url": checked_url(url)}
        shown = {"origin": origin_of(url)}
        if body.secret is not None:
            try:
                key_of(body.secret)
            except SecretError as why:
                raise invalid_request(f"secret: {why}.") from None
            hidden["secret"] = body.secret
    elif kind == "apprise":
        tag = body.tag or shown.get("tag")
        if tag is None:
            raise invalid_request("tag: say which entries of the file are meant.")
        shown = {"tag": tag}
    return shown, hidden


def _must_see_everybody(principal: Principal) -> None:
    if principal.visible is not None:
        raise forbidden("Only users who may see everyone may change the channels.")


async def _known(viewer: Viewer, connection: Connection, channel_id: str) -> Channel:
    channel = await viewer.alerts.channels.one(connection, channel_id.replace("\0", ""))
    if channel is None:
        raise Problem(404, "channel_not_found", "There is no channel with this id.")
    return channel


async def _write_down(request: Request, viewer: Viewer, connection: Connection, action: str, channel: Channel) -> None:
    told = {"name": channel.name, "kind": channel.kind, "enabled": channel.enabled, **channel.shown}
    entry = viewer.entry(request, action, target=channel.channel_id, detail=told)
    await viewer.audit.write_in(connection, [entry])


def _now(viewer: Viewer) -> datetime:
    return datetime.fromtimestamp(viewer.clock(), UTC)
