"""The lower part of a terminal, drawn again in place."""

import shutil
from collections.abc import Sequence
from typing import Final, TextIO

_UP_AND_CLEAR: Final = "\x1b[{}F\x1b[J"
_MORE: Final = "  … {} lines above are not shown until they are complete"


class Screen:
    """`draw` replaces what it drew last. Lines must fit the width."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn = 0

    def columns(self) -> int:
        return max(30, shutil.get_terminal_size().columns - 1)

    def draw(self, lasting: Sequence[str], passing: Sequence[str]) -> None:
        """`lasting` lines stay and scroll away; `passing` ones are replaced next time, and cut to the height."""
        room = max(5, shutil.get_terminal_size().lines - 2)
        if len(passing) > room:
            hidden = len(passing) - room + 1
            passing = [_MORE.format(hidden), *passing[hidden:]]
        erase = _UP_AND_CLEAR.format(self._drawn) if self._drawn else ""
        self._stream.write(erase + "".join(f"{line}\n" for line in (*lasting, *passing)))
        self._stream.flush()
        self._drawn = len(passing)

    def close(self) -> None:
        """What is drawn stays as it is."""
        self._drawn = 0
