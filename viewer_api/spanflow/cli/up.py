"""Everything that `spanflow up` runs: started one after the other, watched, and stopped in the opposite order."""

import errno
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spanflow.cli.account import my_account, server_account
from spanflow.cli.child import Child, ChildError, end_recorded
from spanflow.cli.console import Console
from spanflow.cli.data_directory import DataDirectory
from spanflow.cli.demo import Demo, answers
from spanflow.cli.embedded_postgres import EmbeddedPostgres
from spanflow.cli.embedded_redis import EmbeddedRedis
from spanflow.cli.ports import LOOPBACK, listener
from spanflow.cli.problem import Problem
from spanflow.cli.running_stack import note_running
from spanflow.cli.stop_signals import StopSignals
from spanflow.cli.tracing_tools import TracingTools

if TYPE_CHECKING:
    from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

_ENDS_WITHIN = 3600.0  # adopting a large table that was there before takes its time
_VIEWER_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """What the person needs to know once all is up."""

    viewer_host: str
    viewer_port: int
    token: str
    #: ViewerSettings that let a gateway find the servers.
    environ: dict[str, str]

    @property
    def address(self) -> str:
        """Where a browser on this machine finds the viewer."""
        host = LOOPBACK if self.viewer_host in {"0.0.0.0", "::"} else self.viewer_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.viewer_port}"


class Up:
    """Use `start`, then `watch`, inside `with up:`; leaving the block stops what was started."""

    def __init__(
        self, settings: "ViewerSettings", environ: Mapping[str, str], path: Path, console: Console, signals: StopSignals
    ) -> None:
        self._settings = settings
        self._environ = dict(environ)
        self._directory = DataDirectory(path)
        self._console = console
        self._signals = signals
        self._children: list[Child] = []
        self._started = ExitStack()

    def __enter__(self) -> "Up":
        return self

    def __exit__(self, *problem: object) -> None:
        if self._children:
            self._console.note("")
        self._started.close()

    def start(self, demo: Demo | None, tools: TracingTools | None = None) -> Running:
        ownership = self._started.enter_context(self._directory.owned("spanflow up"))
        servers = self._start_servers()
        ownership.publish(servers)
        self._end_orphans()
        token = self._settings.viewer_token or secrets.token_urlsafe(32)
        agreed = {} if demo is None else demo.settings
        environ = {**agreed, **self._environ, **servers, "SPANFLOW_DATA_DIR": str(self._directory.path)}
        self._migrate(environ)
        with self._viewer_socket() as opened:
            running = Running(self._settings.viewer_host, opened.getsockname()[1], token, servers)
            self._start_viewer({**environ, "SPANFLOW_VIEWER_TOKEN": token}, running, opened)
        self._started.enter_context(self._directory.viewer_offered(running.address, token))
        note_running(self._directory.path, self._environ)
        if tools is not None:
            sends = self._start_tools(tools, environ, running)
            environ.update(sends)
            running.environ.update(sends)
        if demo is not None:
            self._start_demo(demo, environ, running)
        return running

    def watch(self, idle: Callable[[], None]) -> None:
        """Stay until a stop is requested; raise when something of ours ends by itself."""
        while not self._signals.wait(0.2):
            for child in self._children:
                if (code := child.exit_code()) is not None:
                    raise ChildError(f"{child.name} ended by itself (exit code {code}).\n{child.log_tail()}")
            idle()

    def _end_orphans(self) -> None:
        """What an earlier start that was killed may have left, also of parts that this one does not start.

        With the servers there again, a gateway that is ending can still hand over what it has.
        """
        for record in sorted((self._directory.path / "records").glob("*.json")):
            # The servers do this themselves, with signals of their own.
            if record.stem not in {"postgres", "redis"} and end_recorded(record, self._directory.path):
                self._console.note(f"  ended {record.stem}, which an earlier start had left")

    def _start_servers(self) -> dict[str, str]:
        environment: dict[str, str] = {}
        account = server_account(self._directory.postgres)
        if self._environ.get("SPANFLOW_POSTGRES_DSN", "").strip():
            self._console.note("  ✓ PostgreSQL  the one of SPANFLOW_POSTGRES_DSN")
        else:
            postgres = EmbeddedPostgres(self._directory, account)
            self._step("PostgreSQL", lambda: postgres.start(self._signals.requested), f"data in {postgres.data}")
            self._on_stop("PostgreSQL", lambda: postgres.stop(hurried=self._signals.hurried))
            self._children.append(postgres.child)
            environment["SPANFLOW_POSTGRES_DSN"] = postgres.dsn
        if self._environ.get("SPANFLOW_REDIS_URL", "").strip():
            self._console.note("  ✓ Redis       the one of SPANFLOW_REDIS_URL")
        else:
            redis = EmbeddedRedis(self._directory, account)
            self._step("Redis", lambda: redis.start(self._signals.requested), f"data in {redis.data}")
            self._on_stop("Redis", lambda: redis.stop(hurried=self._signals.hurried))
            self._children.append(redis.child)
            environment["SPANFLOW_REDIS_URL"] = redis.url
        return environment

    def _migrate(self, environ: Mapping[str, str]) -> None:
        migrate = self._child("migrate", _our_command("migrate"), environ)
        self._step("schema", lambda: self._run_to_its_end(migrate), "up to date")

    def _run_to_its_end(self, child: Child) -> None:
        child.start()
        try:
            child.wait_until(lambda: child.exit_code() == 0, _ENDS_WITHIN, self._signals.requested)
        finally:
            child.stop()

    def _start_viewer(self, environ: Mapping[str, str], running: Running, opened: socket.socket) -> None:
        number = opened.fileno()
        command = _our_command("serve", "--no-link", "--host", running.viewer_host, "--fd", str(number))
        self._start_child("viewer", command, environ, lambda: answers(running.address), running.address, (number,))

    def _start_tools(self, tools: TracingTools, environ: Mapping[str, str], running: Running) -> dict[str, str]:
        """Returns what gateways need so that their spans go there."""
        for missing in tools.missing():
            self._console.note(f"  - {missing}")
        plan = tools.plan(self._directory.path, environ, running.address, running.token)
        for part in plan.parts:
            self._start_child(part.name, part.command, part.environ, part.ready, part.detail)
        return plan.gateway

    def _start_demo(self, demo: Demo, environ: Mapping[str, str], running: Running) -> None:
        watched = demo.watch_first_user(running.address, running.token)
        self._console.note(f"  ✓ watched     {watched}")
        past = demo.history(environ)
        history = self._child(past.name, past.command, past.environ)
        self._step(past.name, lambda: self._run_to_its_end(history), past.detail)
        self._console.note(f"  ✓ alerts      {demo.make_alerts(running.address, running.token)}")
        for part in demo.parts(environ):
            self._start_child(part.name, part.command, part.environ, part.ready, part.detail)

    def _start_child(
        self,
        name: str,
        command: list[str],
        environ: Mapping[str, str],
        ready: Callable[[], bool],
        detail: str,
        keep_open: Sequence[int] = (),
    ) -> None:
        child = self._child(name, command, environ, keep_open)

        def start() -> None:
            child.start()
            self._on_stop(name, lambda: child.stop(10.0, self._signals.hurried))
            child.wait_until(ready, _VIEWER_WITHIN, self._signals.requested)

        self._step(name, start, detail)
        self._children.append(child)

    def _child(self, name: str, command: list[str], environ: Mapping[str, str], keep_open: Sequence[int] = ()) -> Child:
        folder, me = self._directory.path, my_account()
        return Child(name, command, directory=folder, account=me, environ=environ, keep_open=keep_open)

    def _viewer_socket(self) -> socket.socket:
        """On the configured port; unless a person chose it, on another one when it is taken."""
        host, wanted = self._settings.viewer_host, self._settings.viewer_port
        try:
            return listener(host, wanted)
        except OSError as why:
            if self._environ.get("SPANFLOW_VIEWER_PORT", "").strip() or why.errno != errno.EADDRINUSE:
                raise Problem(f"the viewer cannot listen on {host}, port {wanted}: {why.strerror}.") from None
            opened = listener(host, 0)
            self._console.note(
                f"  port {wanted} is taken by another program; the viewer takes a free one (choose: --port)"
            )
            return opened

    def _step(self, name: str, start: Callable[[], None], detail: str) -> None:
        began = time.monotonic()
        start()
        self._console.note(f"  ✓ {name:<11} {detail}  ({time.monotonic() - began:.1f} s)")

    def _on_stop(self, name: str, stop: Callable[[], bool]) -> None:
        def stop_and_say() -> None:
            by_itself = stop()
            self._console.note(f"  stopped {name}" if by_itself else f"  stopped {name} (it had to be forced)")

        self._started.callback(stop_and_say)


def _our_command(*arguments: str) -> list[str]:
    # -P: without it, a file in the current folder hides every library that is called like it.
    return [sys.executable, "-P", "-m", "spanflow.cli.main", *arguments]
