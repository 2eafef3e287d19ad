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
        """Progress for a person."""
        try:
            self._write(self._err, text)
        except OSError:
            pass  # the terminal is gone; what has to be done goes on without words

    def problem(self, text: str) -> None:
        self.note(f"spanflow: {text}")

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        stream.write(f"{text}\n")
        stream.flush()
