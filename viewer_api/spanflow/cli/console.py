"""What the commands say: results on stdout, progress and problems on stderr."""

import sys
from typing import TextIO


class Console:
    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr

    def result(self, text: str) -> None:
        """What was asked for; a script may read it."""
        self._write(self._out, text)

    def note(self, text: str) -> None:
        """What a person likes to know meanwhile."""
        self._write(self._err, text)

    def problem(self, text: str) -> None:
        self._write(self._err, f"spanflow: {text}")

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        stream.write(f"{text}\n")
        stream.flush()
