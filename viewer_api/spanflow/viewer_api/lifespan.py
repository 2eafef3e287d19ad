"""What a viewer process starts and stops: one stack of small parts; each may fail without stopping the rest."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from spanflow.span_processors.archive.postgres import make_pool
from spanflow.span_processors.encoding.process_info import new_instance_id
from spanflow.span_processors.event.metadata import Metadata
from spanflow.span_processors.redis.redis_client import async_client
from spanflow.span_processors.setting_table import SettingsError
from spanflow.span_processors.stages.counters import losses_of
from spanflow.viewer_api.alerts.loss_reporter import LossReporter
from spanflow.viewer_api.alerts.open_flows import OpenFlowIndex
from spanflow.viewer_api.alerts.service import alerts_of
from spanflow.viewer_api.auth.assembly import signing_in
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers
from spanflow.viewer_api.auth.signed_tokens import Signer
from spanflow.viewer_api.background.jobs import JobRegistry
from spanflow.viewer_api.background.maintenance import Reaping, keep_tables
from spanflow.viewer_api.background.readiness import Readiness
from spanflow.viewer_api.background.supervisor import every, running
from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.erasure.erasure import Eraser
from spanflow.viewer_api.erasure.receipt import Outside
from spanflow.viewer_api.erasure.redis_erasure import RedisErasure
from spanflow.viewer_api.flows.documents import from_row
from spanflow.viewer_api.flows.matching_flows import SYSTEM, MatchingFlows
from spanflow.viewer_api.flows.withheld import Withheld
from spanflow.viewer_api.live.catch_up import Archived
from spanflow.viewer_api.live.cursor import CursorKey
from spanflow.viewer_api.live.feed import FeedContext
from spanflow.viewer_api.live.hub import Hub
from spanflow.viewer_api.live.subscription import Limits
from spanflow.viewer_api.live.usual_times import UsualTimes
from spanflow.viewer_api.monitoring.policy import MonitoringPolicy
from spanflow.viewer_api.monitoring.watching import Watching
from spanflow.viewer_api.operations.collector import ViewerCollector
from spanflow.viewer_api.operations.metrics import Metrics
from spanflow.viewer_api.operations.step_histograms import StepHistograms
from spanflow.viewer_api.otlp.grpc_server import check_installed, serving_grpc
from spanflow.viewer_api.otlp.ingest import Ingest, ingest_settings
from spanflow.viewer_api.otlp.receiver import Receiver
from spanflow.viewer_api.otlp.unplaced_logs import ResponseFinder
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from spanflow.viewer_api.statistics.job import StatisticsJob, prices_of
from spanflow.viewer_api.store.activities import ActivityStore
from spanflow.viewer_api.store.audit_log import AuditLog
from spanflow.viewer_api.store.database import Database
from spanflow.viewer_api.store.flow_notes import FlowNotes
from spanflow.viewer_api.store.flows import FlowStore
from spanflow.viewer_api.store.own_users import own_users
from spanflow.viewer_api.store.redis_flows import RedisFlows
from spanflow.viewer_api.store.saved_filters import SavedFilters
from spanflow.viewer_api.store.share_links import ShareLinks
from spanflow.viewer_api.store.spent_tokens import SpentTokens
from spanflow.viewer_api.store.users import UserStore
from spanflow.viewer_api.store.watches import WatchStore
from spanflow.viewer_api.viewer import Viewer

_log = logging.getLogger(__name__)

_HOUR = 3600.0
_MINUTE = 60.0
_COUNT_SECONDS = 10.0
_DELIVER_SECONDS = 1.0
_FIND_SECONDS = 2.0
_HISTOGRAM_SECONDS = 30.0
#: The first requests after a start come before the tables' housekeeping.
_KEEP_AFTER = 20.0


@asynccontextmanager
async def started(settings: ViewerSettings, metrics: Metrics, clock: Clock = time.time) -> AsyncIterator[Viewer]:
    """A viewer with everything around it running. It starts without Postgres and Redis, and waits for them."""
    async with AsyncExitStack() as stack:
        # Our own limit is the statement timeout; the connection's is for a server that does not answer at all.
        patience = settings.viewer_statement_timeout + 2
        pool = await stack.enter_async_context(make_pool(settings, "viewer", command_timeout=patience))
        redis = async_client(settings)
        stack.push_async_callback(redis.aclose)
        reader = None
        if settings.viewer_read_dsn:
            reader = await stack.enter_async_context(
                make_pool(settings, "viewer reads", command_timeout=patience, dsn=settings.viewer_read_dsn)
            )
        erasing = pool
        if settings.viewer_erase_dsn:
            erasing = await stack.enter_async_context(
                make_pool(settings, "erasure", max_size=2, command_timeout=patience, dsn=settings.viewer_erase_dsn)
            )
        pools = {"main": pool} | ({"reads": reader} if reader else {})
        # Watches and used one-time sign-ins are read from the primary: a replica lags behind.
        primary = Database(pool, settings.schema, settings.viewer_statement_timeout)
        database = Database(pool, settings.schema, settings.viewer_statement_timeout, reader)
        redis_flows = RedisFlows(redis)
        flows = FlowStore(database)
        audit = AuditLog(primary)
        spent = SpentTokens(primary)
        users = UserStore(database, own_users(settings, database))
        policy = MonitoringPolicy.from_settings(settings)
        watching = Watching(WatchStore(primary), redis, audit, primary, policy, clock, settings.viewer_recheck_seconds)
        metadata = Metadata.from_settings(settings)
        prices = prices_of(settings.prices)
        usual = UsualTimes(database, clock)
        cursors = CursorKey(Signer.of(settings).secret_for("live cursors"))
        hub = Hub(
            redis,
            FeedContext(
                redis_flows, lambda flow_id: _archived(flows, flow_id), cursors, usual.p95_ns, usual.percentiles_ns
            ),
            watching,
            Limits(settings.viewer_client_queue, settings.viewer_client_queue_bytes),
            metadata,
        )
        sign_in = await stack.enter_async_context(signing_in(settings, spent, audit, clock))
        receiver = await stack.enter_async_context(_receiving(settings)) if settings.viewer_otlp else None
        registry = JobRegistry()
        reaping = Reaping(settings, registry)
        eraser = Eraser(
            primary,
            Database(erasing, settings.schema, settings.viewer_statement_timeout),
            RedisErasure(redis, redis_flows),
            Outside(settings.trace_copies, ".".join(settings.users_view)),
        )
        matching = MatchingFlows(flows, redis_flows, Withheld(watching, metadata, SYSTEM))
        alerts = alerts_of(settings, primary, database, OpenFlowIndex(redis_flows, matching), redis_flows, clock)
        stack.push_async_callback(alerts.webhook.close)
        viewer = Viewer(
            settings=settings,
            authenticator=sign_in.authenticator,
            rates=sign_in.rates,
            oidc=sign_in.oidc,
            database=database,
            audit=audit,
            users=users,
            flows=flows,
            activities=ActivityStore(database),
            redis_flows=redis_flows,
            watching=watching,
            hub=hub,
            eraser=eraser,
            alerts=alerts,
            share_links=ShareLinks(primary),
            notes=FlowNotes(primary),
            saved_filters=SavedFilters(primary),
            readiness=Readiness(
                primary, database, redis_flows, hub, registry, lambda: sign_in.authenticator.problem, reaping.details
            ),
            metadata=metadata,
            proxies=ProxyPeers(settings.viewer_proxy_peers),
            prices=prices,
            usual=usual,
            receiver=receiver,
            clock=clock,
        )
        stack.callback(viewer.worker.close)
        await stack.enter_async_context(running("watched users", watching.run, registry))
        await stack.enter_async_context(running("live", hub.run, registry))
        await stack.enter_async_context(running("usual times", usual.run, registry))
        count = every(_COUNT_SECONDS, StatisticsJob(primary, prices, clock).run, first_after=_COUNT_SECONDS)
        await stack.enter_async_context(running("statistics", count, registry))
        losses = LossReporter(primary, new_instance_id(), lambda: _losses(receiver, reaping), clock)
        for name, seconds, job in (
            ("losses", settings.alert_seconds, losses.run),
            ("alerts", settings.alert_seconds, alerts.evaluator.run),
            ("alert deliveries", _DELIVER_SECONDS, alerts.deliveries.run),
            ("alert events", _DELIVER_SECONDS, alerts.feed.run),
        ):
            await stack.enter_async_context(running(name, every(seconds, job, first_after=seconds), registry))
        if users.own is not None:
            await stack.enter_async_context(running("users view", every(_MINUTE, users.own.check), registry))
        forget = every(_HOUR, spent.forget_expired, first_after=_MINUTE)
        await stack.enter_async_context(running("spent tokens", forget, registry))
        keep = every(24 * _HOUR, lambda: keep_tables(settings), first_after=_KEEP_AFTER)
        await stack.enter_async_context(running("retention", keep, registry))
        await stack.enter_async_context(running(Reaping.NAME, reaping.run, registry))
        await stack.enter_async_context(
            running("erased flows", every(_MINUTE, eraser.sweep, first_after=_MINUTE), registry)
        )
        if receiver is not None:
            ingest = receiver.ingest
            finder = ResponseFinder(database, ingest.unplaced, ingest.place, time.monotonic)
            find = every(_FIND_SECONDS, finder.run, first_after=_FIND_SECONDS)
            await stack.enter_async_context(running("log records", find, registry))
        stack.enter_context(metrics.also(ViewerCollector(viewer, pools, registry, reaping)))
        histograms = StepHistograms(database, clock)
        await stack.enter_async_context(running("step histograms", every(_HISTOGRAM_SECONDS, histograms.run), registry))
        stack.enter_context(metrics.also(histograms))
        yield viewer


@asynccontextmanager
async def _receiving(settings: ViewerSettings) -> AsyncIterator[Receiver | None]:
    """Received spans are stored, or spooled, before the viewer ends. None when one of the gateways' settings, which
    hold for them, cannot be used: that is no reason not to show what is there."""
    try:
        gateways = ingest_settings(settings)
    except SettingsError as why:
        _log.error("OTLP ingest is disabled: %s", why)
        yield None
        return
    ingest = Ingest(gateways, max_bytes=settings.viewer_otlp_queue_bytes)
    receiver = Receiver(
        ingest,
        max_unpacked=settings.viewer_otlp_unpacked_bytes,
        max_bytes=settings.viewer_otlp_queue_bytes,
    )
    try:
        yield receiver
    finally:
        receiver.close()
        await asyncio.to_thread(ingest.shutdown, settings.viewer_stop_seconds)


def check_libraries(settings: ViewerSettings) -> None:
    """`SettingsError` when a setting needs an extra that is not installed."""
    if settings.viewer_otlp and settings.viewer_otlp_grpc_port:
        check_installed()


@asynccontextmanager
async def receiving_by_grpc(app: FastAPI, settings: ViewerSettings) -> AsyncIterator[None]:
    """Around the time that the application works: what comes by gRPC becomes requests to it."""
    async with AsyncExitStack() as stack:
        if settings.viewer_otlp and (port := settings.viewer_otlp_grpc_port):
            await stack.enter_async_context(serving_grpc(app, settings.viewer_host, port))
        yield


def _losses(receiver: Receiver | None, reaping: Reaping) -> dict[str, int]:
    """What this process has lost of received spans, and what its reaper could not store."""
    losses = {"reaper.waiting": reaping.waiting + reaping.counts.refused}
    if receiver is not None:
        counts = receiver.ingest.counts()
        losses |= losses_of({"intake": counts.spans, **counts.sinks}, receiver.ingest.spooled)
    return losses


async def _archived(flows: FlowStore, flow_id: str) -> Archived | None:
    """A flow that Redis has let go of."""
    row = await flows.one(flow_id, None)
    if row is None:
        return None
    flow = await asyncio.to_thread(from_row, row)
    return Archived(flow.user_id, flow.conversation_id, flow.entries)
