"""A page of the documentation, followed to the letter: its files are written and its commands run, in its order.

A fence says in its title where it belongs: ```` ```sh title="Terminal 2: the gateway" ```` is run by a shell of that
terminal, ```` ```yaml title="config.yaml" ```` is a file beside it. Ports are replaced by free ones; nothing else is.
"Instead of terminal 2" is run in the place of that terminal, where it is wanted.
"""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.poll import eventually
from tests.support.ports import free_port

_FENCE = re.compile(r'^```(?P<language>\w+) title="(?P<title>[^"]+)"\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)
_INSTEAD = "Instead of "
_ANY_SHELL = re.compile(r"^```(?:sh|bash|console)\b(?P<rest>.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Terminal:
    """What is different in one of them: what comes first on PATH; one that goes on is waited for by `ready`."""

    programs: tuple[Path, ...]
    ready: Callable[["WalkedPage", Path], object] | None = None


class WalkedPage:
    """One page, in a folder, with free ports for its own."""

    def __init__(self, page: Path, folder: Path, ports: tuple[int, ...], environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._text = page.read_text(encoding="utf-8")
        self._ports = {port: free_port() for port in ports}
        self._environment = dict(environment)
        self._logs = 0

    def port(self, written: int) -> int:
        return self._ports[written]

    def commands(self) -> list[tuple[str, str]]:
        """The terminal and the text of each block of commands. None may stand outside of a terminal."""
        fences = [(found["language"], found["title"], found["text"]) for found in _FENCE.finditer(self._text)]
        shells = [(title, text) for language, title, text in fences if language == "sh"]
        assert len(shells) == len(_ANY_SHELL.findall(self._text)), "a block of commands has no title"
        return shells

    @contextmanager
    def walk(self, terminals: Mapping[str, Terminal]) -> Iterator[list[Path]]:
        """Run all that is for these terminals, and stop it at the end. The files with what each block printed."""
        for found in _FENCE.finditer(self._text):
            if found["language"] != "sh":
                (self.folder / found["title"]).write_text(self._with_our_ports(found["text"]))
        said: list[Path] = []
        with ExitStack() as stack:
            blocks = [(title.partition(":")[0], text) for title, text in self.commands()]
            instead = {name: (name, text) for name, text in blocks if name.startswith(_INSTEAD) and name in terminals}
            for block in blocks:
                name, text = instead.get(f"{_INSTEAD}{block[0].lower()}", block)
                if name in terminals and block[0] not in instead:
                    said.append(self._run(stack, terminals[name], self._with_our_ports(text)))
            yield said

    def _run(self, stack: ExitStack, terminal: Terminal, text: str) -> Path:
        self._logs += 1
        log = self.folder / f"block-{self._logs}.log"
        with log.open("wb") as output:
            shell = subprocess.Popen(
                ["bash", "-e", "-o", "pipefail", "-c", text],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.folder,
                env={**self._environment, "PATH": os.pathsep.join([*map(str, terminal.programs), os.environ["PATH"]])},
            )
        stack.callback(_end, shell)
        if terminal.ready is None:
            assert shell.wait(120) == 0, f"{text}\n{log.read_text()}"
        else:
            ready = terminal.ready

            def is_ready() -> bool:
                if shell.poll() is not None:
                    raise RuntimeError(f"it ended:\n{text}\n{log.read_text()}")
                return bool(ready(self, log))

            eventually(is_ready, within=240)
        return log

    def _with_our_ports(self, text: str) -> str:
        for written, ours in self._ports.items():
            text = re.sub(rf"\b{written}\b", str(ours), text)
        return text


def _end(shell: "subprocess.Popen[bytes]") -> None:
    """As Ctrl-C in that terminal; what is left after a while is killed."""
    for number, seconds in ((signal.SIGINT, 40), (signal.SIGKILL, 10)):
        try:
            os.killpg(shell.pid, number)
        except ProcessLookupError:
            break
        try:
            shell.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    shell.wait(10)
