"""Lets a client into a socket: accepts it, finds out who it is, and says no in a way that clients can tell apart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Final

from starlette.websockets import WebSocket

from spanflow.viewer_api.auth.permissions import Principal, Right, allowed
from spanflow.viewer_api.live import connection as closing
from spanflow.viewer_api.live.connection import Closed, Connection, Refused
from spanflow.viewer_api.problems import Problem
from spanflow.viewer_api.viewer import Viewer, viewer_of

#: The subprotocol that a client offers beside its ticket; a socket must agree to one of those offered.
PROTOCOL: Final = "spanflow.live.v1"
_SIGN_IN_SECONDS: Final = 10.0
_TICKET_PREFIX: Final = "t."
#: Sockets that have not said who they are.
_MAX_ARRIVING: Final = 50


@asynccontextmanager
async def entered(websocket: WebSocket) -> AsyncIterator[tuple[Connection, Viewer, Principal] | None]:
    """An accepted, signed-in connection; None when the client was turned away and told why."""
    viewer = viewer_of(websocket)
    offered: list[str] = websocket.scope.get("subprotocols", [])
    await websocket.accept(PROTOCOL if PROTOCOL in offered else None)
    connection = Connection(websocket)
    hub = viewer.hub
    principal: Principal | None = websocket.scope["state"]["principal"]
    if hub.stopping:
        await connection.close(closing.RESTARTING, "restarting", "The viewer stops: connect again.")
        yield None
        return
    # Strangers must not be able to take the places of those who are signed in.
    if hub.arriving >= _MAX_ARRIVING if principal is None else hub.sockets >= viewer.settings.viewer_max_sockets:
        await connection.close(closing.TOO_MANY, "too_many_sockets", "This viewer serves too many sockets already.")
        yield None
        return
    if principal is None:
        hub.arriving += 1
        try:
            principal = await _signed_in(connection, viewer, offered, websocket)
        except Problem as why:
            code = closing.TOO_MANY if why.status_code == 429 else closing.TRY_LATER
            await connection.close(code, why.code, str(why.detail))
            yield None
            return
        finally:
            hub.arriving -= 1
    hub.sockets += 1
    try:
        if principal is None:
            await connection.close(closing.NOT_SIGNED_IN, "not_signed_in", "Sign in first.")
            yield None
            return
        websocket.scope["state"]["principal"] = principal
        needed: Right | None = websocket.scope["state"].get("needed")
        if needed is None or not allowed(principal, needed):
            await viewer.denied(websocket, "live", target=websocket.url.path)
            await connection.close(closing.FORBIDDEN, "forbidden", f"You need the right «{needed}» for this.")
            yield None
            return
        with ExitStack() as place:
            try:
                place.enter_context(viewer.rates.socket(principal))
            except Problem as why:
                await connection.close(closing.TOO_MANY, why.code, str(why.detail))
                yield None
                return
            yield connection, viewer, principal
    except Closed:
        pass
    except Exception:
        await connection.fail()
    finally:
        hub.sockets -= 1
        await connection.close(closing.NORMAL, "requested", "", announced=False)


async def _signed_in(
    connection: Connection, viewer: Viewer, offered: list[str], websocket: WebSocket
) -> Principal | None:
    """By a ticket or by the first message; the gate has already looked for a cookie, a bearer header and a proxy's."""
    ticket = next((word for word in offered if word.startswith(_TICKET_PREFIX)), None)
    try:
        if ticket is not None:
            return await viewer.authenticator.by_ticket(ticket, websocket)
        first = await asyncio.wait_for(connection.receive(), _SIGN_IN_SECONDS)
        token = first.get("token")
        if first.get("type") != "auth" or not isinstance(token, str):
            return None
        return await viewer.authenticator.by_token(token, websocket)
    except (Refused, TimeoutError, Closed):
        return None
