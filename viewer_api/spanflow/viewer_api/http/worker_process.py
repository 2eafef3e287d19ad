"""A process of its own for work that would hold the interpreter for a second: one call at a time.

It is started by the first call and ends after a quiet time, which gives its memory back. It runs nothing but what this
program hands over: its standard input is a pipe from here, and it ends when that closes.
"""

import asyncio
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any, Final

log = logging.getLogger(__name__)

#: Before the payload: whether the call succeeded, and the payload's length.
_LENGTH: Final = 8
_SUCCEEDED: Final = b"+"
_FAILED: Final = b"-"
#: Secrets are no business of the worker, and neither are settings of tracing.
_NOT_INHERITED: Final = ("SPANFLOW_", "OTEL_")


class WorkerFailed(Exception):
    """The call raised, took too long, or its process ended."""


class WorkerProcess:
    """For the tasks of one event loop. Nothing of it lives before the first call.

    Fork: a viewer does not fork while it serves; a child would share the pipe.
    """

    def __init__(self, *, time_limit: float = 60.0, quiet_time: float = 30.0) -> None:
        self._time_limit = time_limit
        self._quiet_time = quiet_time
        self._turn = asyncio.Lock()
        #: An abandoned call may hold it until its process is gone.
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._timer: asyncio.TimerHandle | None = None
        #: Processes that were started so far.
        self.started = 0

    @property
    def pid(self) -> int | None:
        process = self._process
        return None if process is None else process.pid

    @property
    def busy(self) -> bool:
        return self._turn.locked()

    async def run(self, function: Callable[..., bytes], *arguments: Any) -> bytes:
        """What `function`, a module's own, returns in the worker. `WorkerFailed` otherwise."""
        async with self._turn:
            if self._timer is not None:
                self._timer.cancel()
            call = asyncio.ensure_future(asyncio.to_thread(self._call, function, arguments))
            try:
                return await asyncio.wait_for(asyncio.shield(call), self._time_limit)
            except TimeoutError:
                raise WorkerFailed(f"not done after {self._time_limit:g} s") from None
            finally:
                if not call.done():
                    # Its answer would be taken for the next call's.
                    self._kill()
                    call.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
                self._timer = asyncio.get_running_loop().call_later(self._quiet_time, self.close)

    def close(self) -> None:
        """Ends the process, and with it the call that runs there. A later call starts another."""
        if self._timer is not None:
            self._timer.cancel()
        self._kill()
        with self._lock:
            self._reap()

    def _call(self, function: Callable[..., bytes], arguments: tuple[Any, ...]) -> bytes:
        data = pickle.dumps((function, arguments), protocol=pickle.HIGHEST_PROTOCOL)
        with self._lock:
            process = self._ready()
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(len(data).to_bytes(_LENGTH, "big"))
                process.stdin.write(data)
                process.stdin.flush()
                verdict, answer = _received(process.stdout)
            except (OSError, EOFError) as why:
                self._kill()
                raise WorkerFailed(f"the process ended: {why or type(why).__name__}") from None
        if verdict != _SUCCEEDED:
            raise WorkerFailed(answer.decode(errors="replace"))
        return answer

    def _ready(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._killed or self._process.poll() is not None:
            self._reap()
            self._killed = False
            kept = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_INHERITED)}
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", __name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=kept,
                )
            except OSError as why:
                raise WorkerFailed(f"cannot be started: {why}") from None
            self.started += 1
        return self._process

    def _kill(self) -> None:
        """Ends the process; the next user, or `close`, waits for its end."""
        process = self._process
        if process is not None:
            self._killed = True
            process.kill()

    def _reap(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:
                        log.debug("What the worker had not read goes with it.")


def _received(pipe: IO[bytes]) -> tuple[bytes, bytes]:
    head = _exactly(pipe, 1 + _LENGTH)
    return head[:1], _exactly(pipe, int.from_bytes(head[1:], "big"))


def _exactly(pipe: IO[bytes], length: int) -> bytes:
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return data


def main() -> None:
    """The worker itself."""
    import gc

    # What a call makes is looked through once, when its answer is on its way.
    gc.disable()
    # What is printed by mistake must not get among the answers.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source = sys.stdin.buffer
    while head := source.read(_LENGTH):
        try:
            function, arguments = pickle.loads(_exactly(source, int.from_bytes(head, "big")))
            verdict, answer = _SUCCEEDED, function(*arguments)
        except Exception as why:
            verdict, answer = _FAILED, f"{type(why).__name__}: {why}".encode(errors="replace")
        output.write(verdict + len(answer).to_bytes(_LENGTH, "big"))
        output.write(answer)
        output.flush()
        function = arguments = answer = None
        gc.collect()


if __name__ == "__main__":
    main()
