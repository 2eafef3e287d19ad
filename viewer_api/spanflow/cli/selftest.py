"""`spanflow doctor --selftest`: one flow through the real servers, watched at every place where it has to arrive."""

import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson
from redis.exceptions import RedisError

from spanflow.cli import selftest_flow
from spanflow.cli.checks.finding import Finding, Level, note, ok, problem
from spanflow.cli.commands.run import environment_of_gateway
from spanflow.span_processors import names
from spanflow.span_processors.archive.postgres import connect
from spanflow.span_processors.event.event import decode
from spanflow.span_processors.redis.redis_client import async_client
from spanflow.span_processors.redis.redis_text import text_of
from spanflow.span_processors.redis.watched_store import unwatch, watch
from spanflow.span_processors.shared_settings import SharedSettings
from spanflow.span_processors.tree.reducer import FlowReducer

#: All its flows belong to this user, so that they are easy to tell from real ones.
USER_PREFIX: Final = "spanflow-selftest"
_WATCHED_FOR: Final = 120.0
_ARRIVES_WITHIN: Final = 30.0
_CHECKPOINTS: Final = ("auth_check", "tool_call", "llm_complete")


async def run_selftest(settings: SharedSettings, environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Send the flow and say for each place whether it came. Its row stays, as proof, until retention takes it."""
    try:
        async with AsyncExitStack() as opened:
            redis = async_client(settings)
            opened.push_async_callback(redis.aclose)
            postgres = await connect(settings, "selftest")
            opened.push_async_callback(postgres.close)
            user = f"{USER_PREFIX}-{secrets.token_hex(4)}"
            await watch(redis, {user: time.time() + _WATCHED_FOR})
            opened.push_async_callback(unwatch, redis, [user])
            live: Any = redis.pubsub()
            opened.push_async_callback(live.aclose)
            await live.subscribe(names.flow_bell(user), names.flow_events(user))
            flow_id, log = await _send(user, environ)
            if not flow_id:
                yield problem(f"the flow was not sent:\n{log}", "Repair what the checks above found, then try again.")
                return
            yield ok(f"sent flow {flow_id} as user {user}")
            arrivals = [await _in_stream(redis, flow_id)]
            arrivals += await _on_channels(live, user, flow_id)
            arrivals.append(await _in_table(postgres, settings.schema, flow_id))
            for finding in arrivals:
                yield finding
            if any(finding.level is Level.PROBLEM for finding in arrivals):
                yield note(f"what the gateway's process said:\n{log.strip() or '(nothing)'}")
    except (OSError, TimeoutError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError) as why:
        yield problem(f"could not be finished: {why or type(why).__name__}", "Repair what the checks above found.")


async def _send(user: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Run the small gateway in a process of its own, started as a person would; its flow's id, and its log."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "flow_id"
        ours = (sys.executable, "-P", "-m", "spanflow.cli.main", "run", "--")
        process = await asyncio.create_subprocess_exec(
            *(*ours, sys.executable, selftest_flow.__file__, user, f"{user}-session", str(answer)),
            env={**os.environ, **environment_of_gateway(environ), "OTEL_SERVICE_NAME": USER_PREFIX},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), _ARRIVES_WITHIN * 2)
        except TimeoutError:
            process.kill()
            await process.wait()
            return "", "it took too long"
        return answer.read_text() if answer.exists() else "", output.decode(errors="replace")[-2000:]


async def _in_stream(redis: Any, flow_id: str) -> Finding:
    stream = names.flow_stream(flow_id)

    async def seen() -> list[str]:
        reducer = FlowReducer()
        for _, fields in await redis.xrange(stream):
            reducer.add(decode(fields[names.STREAM_FIELD.encode()]))
        return [entry["event_type"] for entry in reducer.entries() if entry.get("end_ns")]

    ended = await _until(seen, lambda found: set(_CHECKPOINTS) <= set(found))
    if set(_CHECKPOINTS) <= set(ended):
        return ok(f"Redis: all checkpoints are in the stream {stream}")
    return problem(f"Redis: the stream {stream} has only {ended or 'nothing'}", "What its process said is below.")


async def _on_channels(live: Any, user: str, flow_id: str) -> list[Finding]:
    """Both channels that a dashboard listens to: our bell, and the messages that older dashboards know."""
    bells: list[str] = []
    messages: list[str] = []

    async def listen() -> tuple[list[str], list[str]]:
        message = await live.get_message(ignore_subscribe_messages=True, timeout=0.1)
        if message is not None and message["channel"] == names.flow_bell(user).encode():
            bells.append(text_of(message["data"]))
        elif message is not None:
            messages.append(orjson.loads(message["data"])["event_type"])
        return bells, messages

    await _until(listen, lambda found: flow_id in found[0] and set(_CHECKPOINTS) <= set(found[1]))
    findings = []
    for channel, came in (
        (names.flow_bell(user), flow_id in bells),
        (names.flow_events(user), set(_CHECKPOINTS) <= set(messages)),
    ):
        if came:
            findings.append(ok(f"Pub/Sub: {channel} rang while it ran"))
        else:
            repair = "Does the Redis user have a right to publish (ACL: &*)? Is the gateway the same Redis's?"
            findings.append(problem(f"Pub/Sub: nothing came on {channel}", repair))
    return findings


async def _in_table(postgres: asyncpg.Connection, schema: str, flow_id: str) -> Finding:
    async def row() -> asyncpg.Record | None:
        query = f'SELECT checkpoint_count, completed_at FROM "{schema}".{names.TABLE_FLOWS} WHERE flow_id = $1'
        return await postgres.fetchrow(query, flow_id)

    row_found = await _until(row, lambda record: record is not None)
    if row_found is None:
        return problem(
            f"PostgreSQL: no row in {schema}.{names.TABLE_FLOWS}",
            "spanflow migrate; what its process said is below.",
        )
    return ok(f"PostgreSQL: {schema}.{names.TABLE_FLOWS} has it, with {row_found['checkpoint_count']} checkpoints")


async def _until(ask: Callable[[], Awaitable[Any]], good: Callable[[Any], bool]) -> Any:
    """Ask until the answer is good or the time is over; the last answer."""
    deadline = time.monotonic() + _ARRIVES_WITHIN
    while True:
        answer = await ask()
        if good(answer) or time.monotonic() > deadline:
            return answer
        await asyncio.sleep(0.05)
