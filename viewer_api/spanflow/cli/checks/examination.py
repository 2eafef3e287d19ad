"""All checks, in the order in which a person wants to read them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import TypeVar

import asyncpg
from redis.exceptions import RedisError

from spanflow.cli.checks import gateways, installation, servers, storage, tracing
from spanflow.cli.checks.finding import Check, Finding, Situation, problem
from spanflow.cli.checks.settings import SettingNames, SettingValues
from spanflow.cli.checks.sign_in import SignIn
from spanflow.cli.checks.startup_report import StartupReport
from spanflow.cli.problem import Problem
from spanflow.span_processors.archive.postgres import connect
from spanflow.span_processors.redis.redis_client import AsyncClient, async_client
from spanflow.span_processors.setting_table import SettingsError, SettingTable
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.shared_settings import SharedSettings

T = TypeVar("T", bound=SettingTable)

CHECKS: tuple[Check, ...] = (
    installation.Versions(),
    installation.OpenTelemetrySet(),
    installation.NativeCore(),
    installation.Extras(),
    installation.Dashboard(),
    SettingValues(),
    SettingNames(),
    SignIn(),
    servers.RedisServer(),
    servers.RedisMemory(),
    servers.RedisClock(),
    servers.PostgresServer(),
    servers.Schema(),
    servers.ApplicationTables(),
    servers.Partitions(),
    servers.UsersView(),
    servers.PostgresClock(),
    storage.DataFolder(),
    gateways.Gateway(),
    tracing.SwitchedOn(),
    tracing.EntryPoints(),
    tracing.Processors(),
    tracing.PrivateProviders(),
    tracing.Sampler(),
    tracing.Propagators(),
    tracing.Exporters(),
)


async def examine(
    settings: SharedSettings, environ: Mapping[str, str], module: str = ""
) -> AsyncIterator[tuple[Check, Finding]]:
    """Run every check. One that fails itself is a finding, and the others still run."""
    async with AsyncExitStack() as opened:
        situation = await _situation(settings, environ, module, opened)
        for check in CHECKS:
            try:
                async for finding in check.run(situation):
                    yield check, finding
            except (OSError, TimeoutError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError) as why:
                yield check, problem(f"could not be checked: {why or type(why).__name__}", "Look at the server's log.")


async def _situation(
    settings: SharedSettings, environ: Mapping[str, str], module: str, opened: AsyncExitStack
) -> Situation:
    from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

    redis: AsyncClient | None = None
    redis_problem = postgres_problem = startup_problem = ""
    client = async_client(settings)
    opened.push_async_callback(client.aclose)
    try:
        await client.ping()
        redis = client
    except (OSError, RedisError) as why:
        redis_problem = str(why) or "no answer"
    postgres: asyncpg.Connection | None = None
    try:
        postgres = await connect(settings, "doctor")
        opened.push_async_callback(postgres.close)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as why:
        postgres_problem = str(why) or "no answer"
    startup: StartupReport | None = None
    try:
        startup = StartupReport.ask(environ, module)
    except Problem as why:
        startup_problem = str(why)
    gateway, gateway_problem = _of_role(Settings, environ)
    viewer, viewer_problem = _of_role(ViewerSettings, environ)
    return Situation(
        settings=settings,
        gateway=gateway,
        gateway_problem=gateway_problem,
        viewer=viewer,
        viewer_problem=viewer_problem,
        environ=environ,
        module=module,
        redis=redis,
        redis_problem=redis_problem,
        postgres=postgres,
        postgres_problem=postgres_problem,
        startup=startup,
        startup_problem=startup_problem,
    )


def _of_role(table: type[T], environ: Mapping[str, str]) -> tuple[T | None, str]:
    """The settings of one role, or what is wrong with them."""
    try:
        return table.from_environ(environ), ""
    except SettingsError as mistakes:
        return None, str(mistakes)
