"""What every socket does beside its own work: heartbeat, and asking again whether its client may still be there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from spanflow.viewer_api.auth.permissions import Principal, Right, Via, allowed
from spanflow.viewer_api.live import messages
from spanflow.viewer_api.sockets import connection as closing
from spanflow.viewer_api.sockets.connection import Closed, Connection
from spanflow.viewer_api.sockets.transport import Transport
from spanflow.viewer_api.viewer import Viewer

#: A client that takes nothing for so many heartbeats is dropped.
PATIENCE: Final = 2


async def heartbeat(connection: Connection, seconds: float) -> None:
    """Ask the client whether it is there; end the socket when it says nothing for two beats."""
    while True:
        await asyncio.sleep(seconds)
        if connection.silent_for() > PATIENCE * seconds:
            await connection.close(closing.NO_ANSWER, "no_answer", "No answer to the heartbeat.")
            raise Closed
        await connection.send(messages.message("ping"))


async def unblock(line: Transport, seconds: float) -> None:
    """Drop a client that has not taken a message for so long, although its line is up."""
    while True:
        await asyncio.sleep(seconds / 4)
        if line.stuck_for() > seconds:
            line.cut()
            raise Closed


async def recheck(line: Transport, viewer: Viewer, principal: Principal, *, announced: bool = True) -> None:
    """End the socket when its client has signed out, its sign-in is over or its rights are not what they were. Older
    clients are not told by a message of their own (`announced`), only by the code."""
    while True:
        await asyncio.sleep(viewer.settings.viewer_recheck_seconds)
        now = await viewer.authenticator.renewed(principal)
        if now is None and principal.via is Via.PROXY:
            why = "The proxy is asked again who you are: connect again."
            await line.close(closing.SIGN_IN_AGAIN, "sign_in_again", why, announced=announced)
            raise Closed
        if now is None:
            await line.close(closing.NOT_SIGNED_IN, "signed_out", "The session is over.", announced=announced)
            raise Closed
        if not allowed(now, Right.LIVE):
            await line.close(closing.FORBIDDEN, "forbidden", "The right 'live' was revoked.", announced=announced)
            raise Closed
        if now.role is not principal.role or now.visible != principal.visible:
            why = "Your rights have changed: connect again."
            await line.close(closing.RIGHTS_CHANGED, "rights_changed", why, announced=announced)
            raise Closed


async def until_closed(*jobs: Callable[[], Awaitable[None]]) -> None:
    """Run all jobs; when the first one ends, in whatever way, end the others too."""

    async def run(job: Callable[[], Awaitable[None]]) -> None:
        await job()
        raise Closed

    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(run(job))
    except* Closed:
        pass
