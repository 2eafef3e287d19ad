"""`spanflow doctor`: finds what is wrong, names the repair, and says so with its exit code."""

import asyncio
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from spanflow.cli.checks.examination import CHECKS
from spanflow.cli.checks.finding import Finding
from spanflow.cli.checks.servers import RedisMemory, RedisServer, Schema, UsersView, judged, skew
from spanflow.cli.checks.startup_report import StartupReport
from spanflow.cli.checks.storage import DataFolder
from spanflow.cli.checks.tracing import Exporters
from spanflow.span_processors.archive.postgres import connect
from spanflow.span_processors.redis.redis_client import async_client
from spanflow.span_processors.shared_settings import SharedSettings
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from tests.support import redis_server
from tests.support.native_core import core, needs_core
from tests.support.ports import free_port
from tests.support.situations import situation
from tests.support.spanflow_command import spanflow

Findings = list[tuple[str, str, str | None]]


def doctor(*arguments: str, **settings: str) -> tuple[int, dict[str, Findings]]:
    """Exit code, and per check what it found: level, message, repair."""
    done = spanflow("doctor", "--json", *arguments, **settings)
    assert done.stdout, done.stderr
    found: dict[str, Findings] = {}
    for finding in json.loads(done.stdout)["findings"]:
        found.setdefault(finding["check"], []).append((finding["level"], finding["message"], finding["repair"]))
    return done.returncode, found


def levels(findings: Findings) -> list[str]:
    return [level for level, _, _ in findings]


def test_a_sound_installation_has_no_problem_and_a_flow_arrives_everywhere(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    code, found = doctor(
        "--selftest", SPANFLOW_REDIS_URL=redis_url, SPANFLOW_POSTGRES_DSN=postgres_dsn, SPANFLOW_DATA_DIR=str(tmp_path)
    )
    assert code == 0, found.get("selftest", found)
    assert set(found) == {check.title for check in CHECKS} | {"selftest"}
    assert "is installed; the service is called" in found["span processor"][0][1]
    assert [message.partition(" ")[0] for _, message, _ in found["selftest"]] == snapshot(
        ["sent", "Redis:", "Pub/Sub:", "Pub/Sub:", "PostgreSQL:"]
    )


def test_what_does_not_work_comes_with_its_repair_and_an_exit_code(tmp_path: Path) -> None:
    nothing = free_port()
    code, found = doctor(
        "--selftest",
        SPANFLOW_REDIS_URL=f"redis://:hunter2@127.0.0.1:{nothing}/0",
        SPANFLOW_POSTGRES_DSN=f"postgresql://me:hunter2@127.0.0.1:{nothing}/x",
        SPANFLOW_DATA_DIR=str(tmp_path),
        OTEL_SDK_DISABLED="true",
        OTEL_PYTHON_DISTRO="somebody-elses",
    )
    assert code == 1
    [(level, message, repair)] = found["Redis"]
    assert (level, repair) == (
        "problem",
        "Start it, set SPANFLOW_REDIS_URL, or run `spanflow up`, which brings one.",
    )
    assert message.startswith(f"cannot be reached at redis://:…@127.0.0.1:{nothing}/0 (")
    assert found["PostgreSQL"][0][2] == "Start it, set SPANFLOW_POSTGRES_DSN, or run `spanflow up`, which brings one."
    assert found["span processor"] == [
        ("problem", "OTEL_SDK_DISABLED=true switches all tracing off", "unset OTEL_SDK_DISABLED")
    ]
    assert found["entry points"][0][:2] == ("warning", "OTEL_PYTHON_DISTRO=somebody-elses chooses another distro")
    assert levels(found["selftest"]) == ["problem"]
    assert "hunter2" not in json.dumps(found)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("off", ("ok", "Python is used; the native core is not installed (SPANFLOW_NATIVE=off)")),
        ("auto", ("note", "Python is used: spanflow_core is not installed (SPANFLOW_NATIVE=auto)")),
        ("require", ("problem", "is required, and spanflow_core is not installed: gateways from here are not traced")),
    ],
)
def test_where_there_is_no_native_core_it_says_what_is_used(
    mode: str, expected: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "spanflow_core.py").write_text("raise ModuleNotFoundError('No module named spanflow_core')\n")
    _, found = doctor(SPANFLOW_NATIVE=mode, PYTHONPATH=str(tmp_path))
    [(level, message, repair)] = found["native core"]
    assert (level, message) == expected
    assert (repair is None) == (mode == "off")


@needs_core
@pytest.mark.parametrize("mode", ["auto", "require"])
def test_a_native_core_that_is_used_is_named(mode: str) -> None:
    _, found = doctor(SPANFLOW_NATIVE=mode)
    assert found["native core"] == [("ok", f"{core().version} is used (SPANFLOW_NATIVE={mode})", None)]


def test_an_exporter_that_nobody_listens_to_is_named() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}

    async def run() -> list[Finding]:
        return [finding async for finding in Exporters().run(situation(startup=StartupReport.ask(environ)))]

    [finding] = asyncio.run(run())
    assert finding.level == "warning"
    assert finding.message.startswith("OTLPSpanExporter to http://127.0.0.1:")
    assert finding.message.endswith("nothing listens there, so those spans are lost")


def test_a_schema_that_is_not_there_is_made_by_migrate(empty_postgres_dsn: str) -> None:
    settings = SharedSettings(postgres_dsn=empty_postgres_dsn)

    async def run() -> list[Finding]:
        connection = await connect(settings, "test")
        try:
            return [finding async for finding in Schema().run(situation(settings=settings, postgres=connection))]
        finally:
            await connection.close()

    [finding] = asyncio.run(run())
    assert (finding.level, finding.repair) == ("problem", "spanflow migrate")


def test_a_users_view_that_cannot_be_read_is_named_with_what_is_wrong(postgres_dsn: str) -> None:
    async def run(view: tuple[str, ...], *columns: str) -> list[Finding]:
        given: dict[str, Any] = {"users_columns": columns} if columns else {}
        settings = ViewerSettings(postgres_dsn=postgres_dsn, users_view=view, **given)
        connection = await connect(settings, "doctor")
        try:
            await connection.execute("CREATE TABLE IF NOT EXISTS public.people (id integer, mail text)")
            return [found async for found in UsersView().run(situation(viewer=settings, postgres=connection))]
        finally:
            await connection.close()

    (found,) = asyncio.run(run(()))
    assert (found.level, found.message) == ("ok", "none is set; people are known from gateways")
    (found,) = asyncio.run(run(("people",), "id", "mail", ""))
    assert (found.level, found.message) == ("ok", '"people" can be read')
    (found,) = asyncio.run(run(("people",)))
    assert (found.level, found.message) == snapshot(
        ("problem", '"people" has no column "email", "full_name"; it has id, mail')
    )
    (found,) = asyncio.run(run(("nowhere", "people")))
    assert found.message == snapshot('there is no table or view "nowhere"."people" in this database')


def test_a_redis_that_evicts_is_a_warning(new_server_directory: Callable[[], Path]) -> None:
    server = redis_server.RedisServer(new_server_directory(), "--maxmemory-policy", "allkeys-lru").start()
    settings = SharedSettings(redis_url=server.url)

    async def run() -> list[str]:
        client = async_client(settings)
        try:
            there = situation(settings=settings, redis=client)
            found = [finding async for finding in RedisServer().run(there)]
            found += [finding async for finding in RedisMemory().run(there)]
            return [finding.level for finding in found]
        finally:
            await client.aclose()

    try:
        assert asyncio.run(run()) == ["ok", "warning"]
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("seconds", "level", "message"),
    [
        (0.0, "ok", "shows our time, to 1 ms"),
        (-0.2, "ok", "shows our time, to 200 ms"),
        (1.5, "note", "is 1.5 s ahead of ours"),
        (-90.0, "warning", "is 90 s behind ours: times of flows and expiries are wrong by that much"),
    ],
)
def test_clocks_that_differ_are_judged_by_what_it_spoils(seconds: float, level: str, message: str) -> None:
    finding = judged(seconds)
    assert (finding.level, finding.message) == (level, message)


def test_the_way_to_a_slow_server_does_not_look_like_a_wrong_clock() -> None:
    now = 1000.0

    async def server_time() -> float:
        nonlocal now
        now += 1.0  # the question travels
        answer = now + 7.0  # its clock is seven seconds ahead
        now += 1.0  # the answer travels
        return answer

    assert asyncio.run(skew(server_time, clock=lambda: now)) == 7.0


def test_mistakes_of_each_role_are_named_and_what_else_can_be_checked_is(redis_url: str, tmp_path: Path) -> None:
    code, found = doctor(
        SPANFLOW_REDIS_URL=redis_url,
        SPANFLOW_DATA_DIR=str(tmp_path),
        SPANFLOW_VIEWER_PORT="http",
        SPANFLOW_QUEUE_SPANS="many",
    )
    assert code == 1
    assert found["settings"][:2] == [
        (
            "problem",
            "a gateway runs untraced with these settings",
            "SPANFLOW_QUEUE_SPANS: 'many' cannot be used; use a whole number from 16 to 10000000.",
        ),
        (
            "problem",
            "the viewer does not start with these settings",
            "SPANFLOW_VIEWER_PORT: 'http' cannot be used; use a whole number from 0 to 65535.",
        ),
    ]
    assert levels(found["Redis"]) == ["ok"]


def test_a_spool_that_cannot_be_used_is_a_problem(tmp_path: Path) -> None:
    def look(**settings: Any) -> tuple[str, str]:
        async def first() -> Finding:
            known = situation(settings=SharedSettings(data_dir=str(tmp_path), **settings))
            return await anext(DataFolder().run(known))

        finding = asyncio.run(first())
        return finding.level, finding.message.partition(": ")[2]

    assert look()[0] == "ok"
    assert look(spool_max_bytes=0) == (
        "problem",
        "nothing can be spooled, flows are lost while PostgreSQL is away: 0 of 0 bytes are waiting already",
    )
    (tmp_path / "spool").write_text("a file stands where the folder should be")
    assert look()[1].endswith(f"{tmp_path / 'spool'} is not a directory")


def test_packages_of_opentelemetry_that_do_not_fit_are_named_with_what_mends_them(tmp_path: Path) -> None:
    """As after another install moved the SDK: what is installed is read from the packages' own metadata."""
    for name, wants in (("opentelemetry-instrumentation-vendor", "opentelemetry-sdk==1.2.3"), ("gateway-vendor", "")):
        metadata = tmp_path / f"{name.replace('-', '_')}-4.5.dist-info" / "METADATA"
        metadata.parent.mkdir()
        needs = "".join(f"Requires-Dist: {line}\n" for line in (wants, "opentelemetry-api<1") if line)
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 4.5\n{needs}")
    code, found = doctor(PYTHONPATH=str(tmp_path))
    assert code == 1
    [(level, message, repair)] = found["OpenTelemetry packages"]
    there = version("opentelemetry-sdk")
    assert (level, message.split("; ")) == (
        "problem",
        [
            f"gateway-vendor 4.5 needs opentelemetry-api<1, and {there} is installed",
            f"opentelemetry-instrumentation-vendor 4.5 needs opentelemetry-api<1, and {there} is installed",
            f"opentelemetry-instrumentation-vendor 4.5 needs opentelemetry-sdk==1.2.3, and {there} is installed",
        ],
    )
    words = (repair or "").split()
    assert words[:2] == ["pip", "install"] and words[2:] == sorted(words[2:])
    assert {"spanflow", "gateway-vendor==4.5", "opentelemetry-sdk", "opentelemetry-instrumentation-vendor"} < set(words)
