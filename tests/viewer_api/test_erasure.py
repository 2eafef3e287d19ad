"""A person is erased everywhere, stays erased whatever arrives later, and the receipt says what is left."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import redis
from dirty_equals import IsStr
from inline_snapshot import snapshot

from spanflow.migrations.roles import grants
from spanflow.span_processors import names
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.redis.redis_client import async_client
from spanflow.viewer_api.erasure.erasure import Eraser
from spanflow.viewer_api.erasure.receipt import Outside
from spanflow.viewer_api.erasure.redis_erasure import RedisErasure
from spanflow.viewer_api.store.database import Database
from spanflow.viewer_api.store.redis_flows import RedisFlows
from tests.support.archives import archives_in, replay
from tests.support.everything_recorded import keys_of, rows_of
from tests.support.flow_parts import part, span
from tests.support.people import PEOPLE, activity_id, ask, flow_id, what_two_users_did, write_tokens
from tests.support.poll import eventually
from tests.support.ports import free_port
from tests.support.query import query, script, value
from tests.support.redis_server import RedisServer
from tests.support.spanflow_command import running, spanflow
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store

DATA = "/api/v1/users/7/data"
WHY = {"X-Spanflow-Reason": "request 4711"}
SEVEN = Identity(user_id="7", email="ada@example.org", full_name="Ada", session_id="s-7", conversation_id="c-7")


def erase(viewer: RunningViewer, path: str = DATA) -> dict[str, Any]:
    response = viewer.http.delete(path, headers=WHY)
    assert response.status_code == 200, response.text
    receipt: dict[str, Any] = response.json()
    return receipt


def traces_of(dsn: str, redis_url: str) -> str:
    """Everything that is stored, but for the audit log and the mark of the erasure."""
    tables = query(dsn, "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'omni2'")
    kept = {"audit_log", "erasures", "erased_flows", "flow_keys"}
    rows = [
        row["line"]
        for table in tables
        if table["name"] not in kept
        for row in query(dsn, f'SELECT t::text AS line FROM omni2."{table["name"]}" t')
    ]
    return "\n".join([*rows, keys_of(redis_url)])


def test_all_of_a_person_goes_and_the_receipt_says_what_stays(
    make_viewer: MakeViewer, make_flow: MakeFlow, store: Store, postgres_dsn: str, redis_url: str
) -> None:
    viewer = make_viewer(trace_copies=("https://jaeger.example.com",))
    store(*what_two_users_did())
    store(part(9, [span(90, name="ask of Ada")], identity=SEVEN))
    viewer.post("/api/v1/monitoring/enable/7", {"reason": "secret of 7"})
    flow = make_flow("7", session_id="s-7", conversation_id="c-7")
    flow.step("auth of 7", None, "auth_check")
    other = make_flow("8")
    other.step("auth of 8", None, "auth_check")
    before = viewer.get(DATA)
    assert before == snapshot(
        {
            "user_id": 7,
            "known": True,
            "hint": None,
            "stored": {
                "flows": 3,
                "activities": 2,
                "conversations": 2,
                "directory": 1,
                "watches": 1,
                "records": 0,
                "alerts": 0,
                "share_links": 0,
                "notes": 0,
                "saved_filters": 0,
                "flows_in_redis": 1,
            },
        }
    )
    receipt = erase(viewer)
    assert receipt == snapshot(
        {
            "user_id": 7,
            "status": "erased",
            "begun_at": IsStr(),
            "finished_at": IsStr(),
            "erased_until": IsStr(),
            "erased": {
                "flows": 3,
                "activities": 2,
                "conversations": 1,
                "directory": 1,
                "watches": 1,
                "records": 0,
                "alerts": 0,
                "share_links": 0,
                "notes": 0,
                "saved_filters": 0,
            },
            "running_flows": 1,
            "stays": [
                {
                    "what": "audit log",
                    "count": 5,
                    "why": "It proves who looked at this user, and the erasure itself; it has its own retention.",
                },
                {
                    "what": "mark of the erasure",
                    "count": 1,
                    "why": "The id and the time: without them a spool or a running process would bring the data back.",
                },
                {
                    "what": "spools of gateways",
                    "count": None,
                    "why": "What waits on a gateway's disk is refused when it is replayed, and then removed.",
                },
                {
                    "what": "running flows",
                    "count": 1,
                    "why": "Their processes go on writing to Redis; every minute it is removed, and none is stored.",
                },
            ],
            "out_of_reach": [
                {
                    "what": "traces",
                    "where": "https://jaeger.example.com",
                    "why": "Spanflow cannot delete there: ask its operator, or wait for its retention.",
                },
                {
                    "what": "backups and replicas",
                    "where": "Postgres, Redis",
                    "why": "They are older than the erasure: repeat it after restoring one.",
                },
            ],
        }
    )
    left = traces_of(postgres_dsn, redis_url)
    for trace in ("of 7", "ada@example.org", "s-7", "c-7", "monitor_user_7", flow.flow_id, flow_id(1), flow_id(9)):
        assert trace not in left, trace
    for trace in ("secret of 8", "auth of 8", "s-both", "c-8", other.flow_id):
        assert trace in left, trace
    actions = query(postgres_dsn, "SELECT action, reason FROM omni2.audit_log WHERE target_user = '7' ORDER BY id")
    assert [row["action"] for row in actions][-3:] == ["user_erasure_begun", "monitoring_disabled", "user_erased"]
    assert actions[-1]["reason"] == "request 4711"


def test_what_arrives_later_of_that_time_is_refused(viewer: RunningViewer, store: Store, postgres_dsn: str) -> None:
    store(*what_two_users_did())
    erase(viewer)
    (first, *_) = what_two_users_did()
    nobody = Identity()
    store(
        # The same once more, late spans that do not say whose they are, and a flow that was never seen.
        first,
        part(3, [span(300, name="late span")], process="p2", identity=nobody),
        part(50, [span(500)], identity=SEVEN, activities=first.activities),
    )
    # Of the last one too.
    store(part(50, [span(501, name="late span")], process="p2", identity=nobody))
    assert query(postgres_dsn, "SELECT flow_id FROM omni2.interaction_flows ORDER BY 1") == [
        {"flow_id": flow_id(number)} for number in (2, 4, 5)
    ]
    ids = {row["activity_id"] for row in query(postgres_dsn, "SELECT activity_id FROM omni2.user_activities")}
    assert ids == {activity_id(2), activity_id(4)}
    assert query(postgres_dsn, "SELECT FROM omni2.user_directory WHERE user_id = '7'") == []
    # Whoever comes back is recorded again.
    after = value(postgres_dsn, "SELECT (extract(epoch FROM clock_timestamp()) * 1e9)::bigint")
    store(part(51, [span(1, start_ns=int(after) + 10**9)], identity=SEVEN))
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.interaction_flows WHERE user_id = '7'") == 1
    assert value(postgres_dsn, "SELECT email FROM omni2.user_directory WHERE user_id = '7'") == "ada@example.org"


def test_a_spool_does_not_bring_it_back(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> None:
    nowhere = f"postgresql://127.0.0.1:{free_port()}/away"
    folder = tmp_path / "gateway"
    with archives_in(nowhere, folder) as archives:
        archives.make().set_aside(what_two_users_did())
    spooled = [path for path in (folder / "spool").rglob("*") if path.is_file() and path.stat().st_size]
    assert any(b"auth of 7" in path.read_bytes() for path in spooled)
    erase(viewer, f"{DATA}?allow_unknown=true")
    with archives_in(postgres_dsn, folder) as archives:
        replay(archives.make("p2"))
    assert "of 7" not in rows_of(postgres_dsn)
    assert "secret of 8" in rows_of(postgres_dsn)
    assert not any(b"auth of 7" in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_stored_flow_that_turns_out_to_be_theirs_goes(viewer: RunningViewer, store: Store, postgres_dsn: str) -> None:
    store(part(1, [span(10, name="unnamed")], identity=Identity()))
    erase(viewer, f"{DATA}?allow_unknown=true")
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.interaction_flows") == 1
    named = span(11, 10, attributes={"user.id": "7"})
    store(part(1, [named], process="p2", identity=SEVEN))
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.interaction_flows") == 0


@contextmanager
def held(dsn: str, statement: str) -> Iterator[None]:
    """A transaction of somebody else that has locked rows, as long as the block lasts."""
    import asyncio

    locked, done = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(dsn, timeout=10)
        async with connection.transaction():
            await connection.fetch(statement)
            locked.set()
            await asyncio.to_thread(done.wait, 60)
        await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    try:
        assert locked.wait(10)
        yield
    finally:
        done.set()
        thread.join()


def test_one_that_was_killed_in_the_middle_goes_on_and_its_receipt_is_of_all_of_it(
    viewer: RunningViewer, store: Store, postgres_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    store(*what_two_users_did(), part(9, [span(90)], identity=SEVEN))
    port = free_port()
    there = {
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_POSTGRES_DSN": postgres_dsn,
        "SPANFLOW_VIEWER_TOKEN": TOKEN,
        "SPANFLOW_DATA_DIR": str(tmp_path / "killed"),
    }
    bearer = {"Authorization": f"Bearer {TOKEN}", **WHY}

    def ask_to_erase() -> None:
        with pytest.raises(httpx.HTTPError):
            httpx.delete(f"http://127.0.0.1:{port}{DATA}", headers=bearer, timeout=60)

    with (
        held(postgres_dsn, "SELECT FROM omni2.user_directory WHERE user_id = '7' FOR UPDATE"),
        running("serve", "--port", str(port), settings=there) as doomed,
    ):
        doomed.wait_for("Application startup complete")
        asking = threading.Thread(target=ask_to_erase)
        asking.start()
        # Flows are gone; what it works on now waits for the lock.
        gone = "SELECT count(*) FROM omni2.interaction_flows WHERE user_id = '7'"
        eventually(lambda: value(postgres_dsn, gone) == 0, within=20)
        doomed.end(signal.SIGKILL)
        asking.join()
    unfinished = query(postgres_dsn, "SELECT finished_at, (erased ->> 'flows')::int AS flows FROM omni2.erasures")
    assert unfinished == [{"finished_at": None, "flows": 3}]
    assert erase(viewer)["erased"] == {
        "flows": 3,
        "activities": 2,
        "conversations": 1,
        "directory": 1,
        "watches": 0,
        "records": 0,
        "alerts": 0,
        "share_links": 0,
        "notes": 0,
        "saved_filters": 0,
    }
    assert "of 7" not in traces_of(postgres_dsn, redis_url)
    # Once more: nothing is left, and a new receipt says so.
    assert set(erase(viewer)["erased"].values()) == {0}


def test_without_redis_it_is_not_finished_and_goes_on_when_it_is_back(
    make_viewer: MakeViewer, store: Store, redis_server: RedisServer
) -> None:
    store(*what_two_users_did())
    viewer = make_viewer(url=redis_server.url)
    redis_server.stop()
    response = viewer.http.delete(DATA, headers=WHY)
    assert (response.status_code, response.json()["code"]) == (503, "erasure_unfinished")
    redis_server.start()
    assert eventually(lambda: viewer.http.delete(DATA, headers=WHY).is_success, within=20)


@pytest.mark.anyio
async def test_what_a_running_flow_goes_on_writing_is_removed_as_well(
    viewer: RunningViewer, make_flow: MakeFlow, postgres_dsn: str, redis_url: str
) -> None:
    flow, others = make_flow("7"), make_flow("8")
    for each in (flow, others):
        each.start("root")
    assert erase(viewer)["running_flows"] == 1
    flow.end("root")
    assert flow.flow_id in keys_of(redis_url)
    client = async_client(viewer.settings)
    async with asyncpg.create_pool(postgres_dsn, min_size=0) as pool:
        database = Database(pool, "omni2", 5)
        await Eraser(database, database, RedisErasure(client, RedisFlows(client)), Outside()).sweep()
    await client.aclose()
    assert flow.flow_id not in keys_of(redis_url)
    assert others.flow_id in keys_of(redis_url)


def test_a_flow_that_was_another_users_after_all_stays(
    viewer: RunningViewer, make_flow: MakeFlow, redis_url: str
) -> None:
    flow = make_flow("7")
    flow.start("root")
    flow.correct("root", "8")
    assert erase(viewer)["running_flows"] == 0
    with redis.Redis.from_url(redis_url) as client:
        assert client.xlen(names.flow_stream(flow.flow_id)) == 2
        assert client.zscore(names.user_flows("8"), flow.flow_id) is not None


def test_the_viewers_role_erases_nobody_and_the_one_for_it_does(
    make_viewer: MakeViewer, store: Store, postgres_dsn: str
) -> None:
    store(*what_two_users_did())
    base = postgres_dsn.rpartition("/")[2]
    viewer_role, eraser_role = f"viewer_{base}", f"eraser_{base}"
    script(
        postgres_dsn,
        f"CREATE ROLE {viewer_role} LOGIN; CREATE ROLE {eraser_role} LOGIN; "
        f"{grants(viewer=viewer_role, eraser=eraser_role)}",
    )
    try:
        as_viewer = postgres_dsn.replace("postgres@", f"{viewer_role}@")
        as_eraser = postgres_dsn.replace("postgres@", f"{eraser_role}@")
        refused = make_viewer(dsn=as_viewer).http.delete(DATA, headers=WHY)
        assert (refused.status_code, refused.json()["code"]) == (501, "erasure_not_granted")
        assert value(postgres_dsn, "SELECT count(*) FROM omni2.interaction_flows WHERE user_id = '7'") == 2
        viewer = make_viewer(dsn=as_viewer, viewer_erase_dsn=as_eraser)
        assert erase(viewer)["erased"]["flows"] == 2
        for statement in (
            "DELETE FROM omni2.interaction_flows",
            "SELECT FROM omni2.user_activities",
            "DELETE FROM omni2.erasures",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                script(as_eraser, statement)
    finally:
        script(
            postgres_dsn, "; ".join(f"DROP OWNED BY {role}; DROP ROLE {role}" for role in (viewer_role, eraser_role))
        )


def test_only_admins_erase_and_only_with_a_reason(make_viewer: MakeViewer, tmp_path: Path) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", *PEOPLE)))
    for person in PEOPLE:
        status = 200 if person.name == "admin" else 403
        assert ask(viewer, person, "GET", DATA).status_code == status, person.name
        gone = ask(viewer, person, "DELETE", f"{DATA}?allow_unknown=true", headers=WHY)
        assert gone.status_code == status, person.name
    refused = viewer.http.delete(DATA)
    assert (refused.status_code, refused.json()["code"]) == (422, "reason_required")


def test_an_unknown_user_is_not_erased_by_mistake(viewer: RunningViewer, store: Store, postgres_dsn: str) -> None:
    store(part(9, [span(90, name="ask of Ada")], identity=SEVEN))
    hints = {"77": "nothing is stored of them", "Ada@example.org": "the id is: 7.", "ada": "the id is: 7."}
    for user, hint in hints.items():
        refused = viewer.http.delete(f"/api/v1/users/{user}/data", headers=WHY)
        assert (refused.status_code, refused.json()["code"]) == (404, "user_not_found")
        assert hint in refused.json()["detail"]
        counted = viewer.get(f"/api/v1/users/{user}/data")
        assert (counted["known"], hint in counted["hint"]) == (False, True)
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.erasures") == 0
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.audit_log WHERE action LIKE 'user_eras%'") == 0
    assert viewer.get(DATA)["known"] is True
    # All that there is of them waits in a spool: they are refused when they arrive.
    other = part(10, [span(100)], identity=Identity(user_id="77"))
    assert erase(viewer, "/api/v1/users/77/data?allow_unknown=true")["erased"]["flows"] == 0
    store(other)
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.interaction_flows WHERE user_id = '77'") == 0
    # One who was erased before is known.
    assert erase(viewer, "/api/v1/users/77/data")["status"] == "erased"


def test_the_terminal_says_that_a_user_is_unknown(viewer: RunningViewer, store: Store, postgres_dsn: str) -> None:
    store(part(9, [span(90)], identity=SEVEN))
    there = {"SPANFLOW_URL": viewer.origin, "SPANFLOW_TOKEN": TOKEN}
    for options in ((), ("--json",), ("--yes", "--reason", "request 4711")):
        refused = spanflow("erase", "ada@example.org", *options, **there)
        assert refused.returncode == 1, options
        assert "the id is: 7." in refused.stdout + refused.stderr
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.erasures") == 0
    done = spanflow("erase", "ada@example.org", "--allow-unknown", "--yes", "--reason", "request 4711", **there)
    assert done.returncode == 0, done.stderr
    assert query(postgres_dsn, "SELECT user_id FROM omni2.erasures") == [{"user_id": "ada@example.org"}]


def test_from_the_terminal(viewer: RunningViewer, store: Store, postgres_dsn: str) -> None:
    store(*what_two_users_did())
    there = {"SPANFLOW_URL": viewer.origin, "SPANFLOW_TOKEN": TOKEN}
    only_said = spanflow("erase", "7", **there)
    assert (only_said.returncode, "2 flows" in only_said.stdout, "Nothing was erased" in only_said.stderr) == (
        0,
        True,
        True,
    )
    assert spanflow("erase", "7", "--yes", **there).returncode == 2
    done = spanflow("erase", "7", "--yes", "--reason", "Löschantrag 4711", **there)
    assert done.returncode == 0, done.stderr
    assert "2 flows" in done.stdout
    assert "audit log" in done.stdout
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.interaction_flows WHERE user_id = '7'") == 0
    reason = "SELECT reason FROM omni2.audit_log WHERE action = 'user_erased'"
    assert value(postgres_dsn, reason) == "Löschantrag 4711"
