"""The access tokens of the file that `SPANFLOW_VIEWER_TOKENS_FILE` names."""

import hmac
from collections.abc import Sequence

from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.auth.token_file import Entry, digest, parsed
from spanflow.viewer_api.auth.watched_file import WatchedFile


class TokenBook:
    """Who has which token, as the file says now."""

    def __init__(self, file: WatchedFile[tuple[Entry, ...]] | None) -> None:
        self._file = file

    @classmethod
    def at(cls, path: str) -> "TokenBook":
        """The book of a file; `SettingsError` when it cannot be used. Without a file, an empty one."""
        return cls(WatchedFile("SPANFLOW_VIEWER_TOKENS_FILE", path, parsed) if path else None)

    @property
    def problem(self) -> str | None:
        """Why the file as it is now does not count."""
        return self._file.problem if self._file is not None else None

    def owner(self, token: str) -> Principal | None:
        """Whose token this is."""
        wanted = digest(token)
        found: Principal | None = None
        # Every entry is compared, so that the time that it takes says nothing about any of them.
        for entry in self._entries():
            if hmac.compare_digest(entry.digest, wanted):
                found = entry.owner
        return found

    def owner_now(self, origin: str) -> Principal | None:
        """Who has by now what `origin` names; None when it was taken out of the file."""
        return next((entry.owner for entry in self._entries() if entry.owner.origin == origin), None)

    def _entries(self) -> Sequence[Entry]:
        return self._file.value if self._file is not None else ()
