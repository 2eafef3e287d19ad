"""Lets a client into a socket: accepts it, finds out who it is, and says no in a way that clients can tell apart."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Final

from starlette.websockets import WebSocket

from spanflow.viewer_api.auth.permissions import Principal, Right, allowed
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.live.hub import STOPPING
from spanflow.viewer_api.live.pending_sockets import TooManySockets
from spanflow.viewer_api.sockets import connection as closing
from spanflow.viewer_api.sockets.connection import Closed, Connection, Refused
from spanflow.viewer_api.viewer import Viewer, viewer_of

#: The subprotocol that a client offers beside its ticket; a socket must agree to one of those offered.
PROTOCOL: Final = "spanflow.live.v1"
_SIGN_IN_SECONDS: Final = 10.0
_TOKEN_IN_ADDRESS: Final = (
    "A token does not travel in the address, which servers and proxies log. Send it in the header `Authorization`, or "
    "as the first message."
)
_TICKET_PREFIX: Final = "t."


class _TurnedAway(Exception):
    """Why a connection is refused."""

    def __init__(self, close_code: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.close_code = close_code
        self.code = code
        self.detail = detail


@asynccontextmanager
async def entered(websocket: WebSocket) -> AsyncIterator[tuple[Connection, Viewer, Principal] | None]:
    """An accepted, signed-in connection; None when the client was turned away and told why."""
    viewer = viewer_of(websocket)
    offered: list[str] = websocket.scope.get("subprotocols", [])
    await websocket.accept(PROTOCOL if PROTOCOL in offered else None)
    connection = Connection(websocket)
    try:
        with ExitStack() as place:
            try:
                principal = await _let_in(connection, viewer, offered, websocket, place)
            except _TurnedAway as why:
                await connection.close(why.close_code, why.code, why.detail)
                yield None
                return
            yield connection, viewer, principal
    except Closed:
        pass
    except Exception:
        await connection.fail()
    finally:
        await connection.close(closing.NORMAL, "requested", "", announced=False)


async def _let_in(
    connection: Connection, viewer: Viewer, offered: list[str], websocket: WebSocket, place: ExitStack
) -> Principal:
    """Who it is. From then on the client has a place among the open sockets, which `place` gives back."""
    principal: Principal | None = websocket.scope["state"]["principal"]
    if principal is None:
        principal = await _introduced(connection, viewer, offered, websocket)
    try:
        # Only now: strangers must not be able to take the places of those who are signed in.
        place.enter_context(viewer.hub.place(viewer.settings.viewer_max_sockets))
        place.enter_context(viewer.rates.socket(principal))
    except Problem as why:
        close_code = closing.TOO_MANY if why.status_code == 429 else closing.RESTARTING
        raise _TurnedAway(close_code, why.code, str(why.detail)) from None
    websocket.scope["state"]["principal"] = principal
    needed: Right | None = websocket.scope["state"].get("needed")
    if needed is None or not allowed(principal, needed):
        await viewer.denied(websocket, "live", target=websocket.url.path)
        raise _TurnedAway(closing.FORBIDDEN, "forbidden", f"You need the right '{needed}' for this.")
    return principal


async def _introduced(connection: Connection, viewer: Viewer, offered: list[str], websocket: WebSocket) -> Principal:
    """A client that authenticates by its first message."""
    if viewer.hub.stopping:
        raise _TurnedAway(closing.RESTARTING, STOPPING, "The viewer stops: connect again.")
    try:
        principal = await _signed_in(connection, viewer, offered, websocket)
    except TooManySockets:
        detail = "Too many sockets wait to sign in, and this one has said nothing yet."
        raise _TurnedAway(closing.TOO_MANY, "too_many_sockets", detail) from None
    except Problem as why:
        close_code = closing.TOO_MANY if why.status_code == 429 else closing.TRY_LATER
        raise _TurnedAway(close_code, why.code, str(why.detail)) from None
    if principal is None:
        raise _TurnedAway(closing.NOT_SIGNED_IN, "not_signed_in", "Sign in first.")
    try:
        # The gate has counted those whom it knew.
        viewer.rates.request(principal)
    except Problem as why:
        raise _TurnedAway(closing.TOO_MANY, why.code, str(why.detail)) from None
    return principal


async def _signed_in(
    connection: Connection, viewer: Viewer, offered: list[str], websocket: WebSocket
) -> Principal | None:
    """By a ticket or by the first message; the gate has already looked for a cookie, a bearer header and a proxy's."""
    ticket = next((word for word in offered if word.startswith(_TICKET_PREFIX)), None)
    try:
        if ticket is not None:
            return await viewer.authenticator.by_ticket(ticket, websocket)
        if websocket.scope["state"].get("secret_in_address"):
            # Such a client only receives and sends no first message.
            raise _TurnedAway(closing.NOT_SIGNED_IN, "token_in_address", _TOKEN_IN_ADDRESS)
        async with viewer.hub.lobby.place(_SIGN_IN_SECONDS):
            first = await connection.receive()
        token = first.get("token")
        if first.get("type") != "auth" or not isinstance(token, str):
            return None
        return await viewer.authenticator.by_token(token, websocket)
    except (Refused, TimeoutError, Closed):
        return None
