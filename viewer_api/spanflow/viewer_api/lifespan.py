"""What a viewer process starts and stops: one stack of small parts; each may fail without stopping the rest."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from spanflow.span_processors.archive.postgres import make_pool
from spanflow.span_processors.archive.reaper import Reaper
from spanflow.span_processors.event.metadata import Metadata
from spanflow.span_processors.redis.redis_client import async_client
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.tree import flow_data
from spanflow.viewer_api.auth.authenticator import Authenticator
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers
from spanflow.viewer_api.auth.signed_tokens import Clock
from spanflow.viewer_api.background.keeping import keep_tables
from spanflow.viewer_api.background.supervisor import every, running
from spanflow.viewer_api.documents import from_row
from spanflow.viewer_api.live.catch_up import Archived
from spanflow.viewer_api.live.feed import Surroundings
from spanflow.viewer_api.live.hub import Hub
from spanflow.viewer_api.live.redis_flows import RedisFlows
from spanflow.viewer_api.live.subscription import Limits
from spanflow.viewer_api.live.usual_times import UsualTimes
from spanflow.viewer_api.monitoring_policy import MonitoringPolicy
from spanflow.viewer_api.store.activities import ActivityStore
from spanflow.viewer_api.store.audit_log import AuditLog
from spanflow.viewer_api.store.database import Database
from spanflow.viewer_api.store.flows import FlowStore
from spanflow.viewer_api.store.spent_tokens import SpentTokens
from spanflow.viewer_api.store.users import UserStore
from spanflow.viewer_api.store.watches import WatchStore
from spanflow.viewer_api.viewer import Viewer
from spanflow.viewer_api.watching import Watching

_HOUR = 3600.0
#: The first requests after a start come before the tables' housekeeping.
_KEEP_AFTER = 20.0


@asynccontextmanager
async def started(settings: Settings, clock: Clock = time.time) -> AsyncIterator[Viewer]:
    """A viewer with everything around it running. It starts without Postgres and Redis, and waits for them."""
    async with AsyncExitStack() as stack:
        # Our own limit is the statement timeout; the connection's is for a server that does not answer at all.
        patience = settings.viewer_statement_timeout + 2
        pool = await stack.enter_async_context(make_pool(settings, "viewer", command_timeout=patience))
        redis = async_client(settings)
        stack.push_async_callback(redis.aclose)
        database = Database(pool, settings.schema, settings.viewer_statement_timeout)
        redis_flows = RedisFlows(redis)
        flows = FlowStore(database)
        audit = AuditLog(database)
        spent = SpentTokens(database)
        policy = MonitoringPolicy.from_settings(settings)
        watching = Watching(
            WatchStore(database), redis, audit, database, policy, clock, settings.viewer_recheck_seconds
        )
        usual = UsualTimes(database)
        hub = Hub(
            redis,
            Surroundings(redis_flows, lambda flow_id: _archived(flows, flow_id), usual.p95_ns),
            watching,
            Limits(settings.viewer_client_queue, settings.viewer_client_queue_bytes),
            Metadata.from_settings(settings),
        )
        viewer = Viewer(
            settings=settings,
            authenticator=Authenticator(settings, spent, clock),
            database=database,
            audit=audit,
            users=UserStore(database),
            flows=flows,
            activities=ActivityStore(database),
            redis_flows=redis_flows,
            watching=watching,
            hub=hub,
            proxies=ProxyPeers(settings.viewer_proxy_peers),
            clock=clock,
        )
        await stack.enter_async_context(running("watched users", watching.run))
        await stack.enter_async_context(running("live", hub.run))
        await stack.enter_async_context(running("usual times", usual.run))
        await stack.enter_async_context(running("spent tokens", every(_HOUR, spent.forget_expired, first_after=60)))
        keep = every(24 * _HOUR, lambda: keep_tables(settings), first_after=_KEEP_AFTER)
        await stack.enter_async_context(running("retention", keep))
        # A reaper that ended has let go of its connections: each run needs a new one.
        await stack.enter_async_context(running("reaper", lambda: Reaper(settings).run()))
        yield viewer


async def _archived(flows: FlowStore, flow_id: str) -> Archived | None:
    """A flow that Redis has let go of."""
    row = await flows.one(flow_id, None)
    if row is None:
        return None
    flow = await asyncio.to_thread(from_row, row)
    return Archived(flow.user_id, flow.conversation_id, flow_data.read(flow.document).entries())
