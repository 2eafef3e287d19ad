"""What a viewer process starts and stops: one stack of small parts; each may fail without stopping the rest."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from spanflow.span_processors.archive.postgres import make_pool
from spanflow.span_processors.archive.reaper import Reaper
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.redis.redis_client import async_client
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.tree import flow_data
from spanflow.viewer_api.auth.authenticator import Authenticator
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers
from spanflow.viewer_api.auth.signed_tokens import Clock
from spanflow.viewer_api.background.keeping import keep_tables
from spanflow.viewer_api.background.supervisor import every, running
from spanflow.viewer_api.documents import from_row
from spanflow.viewer_api.live.hub import Hub
from spanflow.viewer_api.live.redis_flows import RedisFlows
from spanflow.viewer_api.live.subscription import Limits
from spanflow.viewer_api.monitoring_policy import MonitoringPolicy
from spanflow.viewer_api.problems import Problem
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
        hub = Hub(
            redis,
            redis_flows,
            watching,
            lambda flow_id: _archived(flows, flow_id),
            Limits(settings.viewer_client_queue, settings.viewer_client_queue_bytes),
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
        await stack.enter_async_context(running("spent tokens", every(_HOUR, spent.forget_expired, first_after=60)))
        keep = every(24 * _HOUR, lambda: keep_tables(settings), first_after=_KEEP_AFTER)
        await stack.enter_async_context(running("retention", keep))
        # A reaper that ended has let go of its connections: each run needs a new one.
        await stack.enter_async_context(running("reaper", lambda: Reaper(settings).run()))
        yield viewer


async def _archived(flows: FlowStore, flow_id: str) -> Sequence[Event]:
    """The merged entries of a flow that Redis has let go of."""
    try:
        row = await flows.one(flow_id)
    except Problem:
        return ()
    return flow_data.read(from_row(row).document).entries() if row else ()
