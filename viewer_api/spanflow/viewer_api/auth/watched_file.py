"""A file of the settings that is read again when it changes."""

import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from spanflow.span_processors.setting_table import SettingsError

T = TypeVar("T")
log = logging.getLogger(__name__)

_LARGEST: Final = 4 * 1024 * 1024
_LOOK_EVERY: Final = 0.5


class WatchedFile(Generic[T]):
    """What a file says. If it becomes invalid while we run, only `problem` changes, and it is logged once."""

    def __init__(
        self, setting: str, path: str, parse: Callable[[bytes], T], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._setting = setting
        self._path = Path(path)
        self._parse = parse
        self._monotonic = monotonic
        self._problem: str | None = None
        #: It is world-writable, so any local user could decide who has which token.
        self.exposed = False
        self._looked_at = monotonic()
        self._state = self._look()
        try:
            self._value = self._read()
        except ValueError as why:
            raise SettingsError(f"{setting}: {path}: {why}") from None

    @property
    def problem(self) -> str | None:
        """What is wrong with the file as it is now; what it said before goes on holding."""
        self._renew()
        return self._problem

    @property
    def value(self) -> T:
        self._renew()
        return self._value

    def _renew(self) -> None:
        now = self._monotonic()
        if now - self._looked_at >= _LOOK_EVERY:
            self._looked_at = now
            if (state := self._look()) != self._state:
                self._state = state
                self._take()

    def _take(self) -> None:
        try:
            self._value = self._read()
        except ValueError as why:
            self._problem = f"{self._path}: {why}"
            log.error("%s is invalid, the last valid version stays in effect: %s", self._setting, self._problem)
        else:
            self._problem = None
            log.info("%s was reloaded: %s", self._setting, self._path)

    def _look(self) -> tuple[int, ...] | None:
        """What changes when the file is written or another is put in its place."""
        try:
            stats = os.stat(self._path)
        except OSError:
            return None
        return (stats.st_mtime_ns, stats.st_ctime_ns, stats.st_size, stats.st_ino, stats.st_dev)

    def _read(self) -> T:
        try:
            with self._path.open("rb") as file:
                self.exposed = bool(os.fstat(file.fileno()).st_mode & stat.S_IWOTH)
                data = file.read(_LARGEST + 1)
        except OSError as why:
            raise ValueError(f"cannot be read ({why.strerror})") from None
        if len(data) > _LARGEST:
            raise ValueError(f"has more than {_LARGEST} bytes")
        if self.exposed:
            log.warning("%s: %s is world-writable; run chmod o-w.", self._setting, self._path)
        return self._parse(data)
