"""Both embedded servers in one data directory, with one owner."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from spanflow.cli.account import server_account
from spanflow.cli.data_directory import DataDirectory
from spanflow.cli.embedded_postgres import EmbeddedPostgres
from spanflow.cli.embedded_redis import EmbeddedRedis


class EmbeddedStack:
    """As root the servers run as a user of their own, so `path` must not lie in a private folder."""

    def __init__(self, path: Path, *, purpose: str = "embedded servers", durable: bool = True) -> None:
        self.directory = DataDirectory(path)
        self._purpose = purpose
        self.account = account = server_account(self.directory.postgres)
        self.postgres = EmbeddedPostgres(self.directory, account, durable=durable)
        self.redis = EmbeddedRedis(self.directory, account, durable=durable)
        self._running = ExitStack()

    def start(self) -> None:
        with ExitStack() as started:
            started.enter_context(self.directory.owned(self._purpose))
            started.callback(self.postgres.stop)
            self.postgres.start()
            started.callback(self.redis.stop)
            self.redis.start()
            self._running = started.pop_all()

    def stop(self) -> None:
        """Stop them in reverse order and give the directory back."""
        self._running.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
