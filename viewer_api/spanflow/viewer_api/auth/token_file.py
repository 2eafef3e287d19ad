"""The file of access tokens: TOML, with a table per token that says whose it is and what it may do.

It keeps hashes only. A plain SHA-256 is enough for that: salt and slow hashes protect passwords, which people choose
and which can be guessed. A token of 256 random bits cannot be guessed, so its hash cannot be tried backwards either.
"""

import hashlib
import hmac
import json
import re
import secrets
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final

from spanflow.viewer_api.auth.claims import clean_id, clean_name, clean_scope
from spanflow.viewer_api.auth.permissions import Principal, Role, Via
from spanflow.viewer_api.auth.rejected import Rejected
from spanflow.viewer_api.auth.watched_file import WatchedFile

#: So that scanners for leaked secrets can tell what it is.
PREFIX: Final = "spanflow_"
_SCHEME: Final = "sha256:"
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_KEYS: Final = frozenset({"name", "hash", "role", "user_id", "users", "expires"})
_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One token of the file."""

    digest: bytes
    owner: Principal


def new_token() -> str:
    """256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def origin_of(token_digest: bytes) -> str:
    """How a session remembers the token that it was made from."""
    return "token:" + hashlib.sha256(b"spanflow token, origin" + token_digest).hexdigest()[:32]


def written(entry: Entry) -> str:
    """An entry as the file has it."""
    owner = entry.owner
    lines = ["[[token]]", f"name = {_text(owner.name)}", f'hash = "{_SCHEME}{entry.digest.hex()}"']
    lines.append(f'role = "{owner.role.value}"')
    if owner.user_id is not None:
        lines.append(f"user_id = {_text(owner.user_id)}")
    if owner.scope is not None:
        lines.append(f"users = [{', '.join(_text(user) for user in sorted(owner.scope))}]")
    if owner.expires_at is not None:
        lines.append(f"expires = {owner.expires_at.isoformat(timespec='seconds').replace('+00:00', 'Z')}")
    return "\n".join(lines) + "\n"


def parsed(data: bytes) -> tuple[Entry, ...]:
    """The tokens of a file. `ValueError` says what is wrong, by number and name, without repeating a hash."""
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as why:
        raise ValueError(f"is no TOML: {why}") from None
    tables = document.pop("token", [])
    if document:
        raise ValueError(f"has {', '.join(map(repr, sorted(document)))}; only [[token]] tables are known")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError("write each token as a table of its own, under [[token]]")
    if len(tables) > _MOST:
        raise ValueError(f"has more than {_MOST} tokens")
    entries = tuple(_entry(number, table) for number, table in enumerate(tables, 1))
    for what, all_of in (("name", [entry.owner.name for entry in entries]), ("hash", [e.digest for e in entries])):
        if len(set(all_of)) < len(all_of):
            raise ValueError(f"two tokens have the same {what}")
    return entries


def _entry(number: int, table: dict[str, Any]) -> Entry:
    try:
        return _read(table)
    except (ValueError, Rejected) as why:
        shown = f" ({table['name']})" if isinstance(table.get("name"), str) else ""
        raise ValueError(f"token {number}{shown}: {why}") from None


def _read(table: dict[str, Any]) -> Entry:
    if unknown := sorted(set(table) - _KEYS):
        raise ValueError(f"{', '.join(map(repr, unknown))}: no such key; there are {', '.join(sorted(_KEYS))}")
    name, hashed, role = (table.get(key) for key in ("name", "hash", "role"))
    if not isinstance(name, str):
        raise ValueError("a name is missing")
    if not isinstance(hashed, str) or not _HASH.fullmatch(hashed):
        raise ValueError("hash must be sha256: and 64 hexadecimal digits; `spanflow token new` prints it")
    if not isinstance(role, str) or role not in set(Role):
        raise ValueError(f"role must be one of {', '.join(Role)}")
    users = table.get("users")
    if users is not None and (role != Role.MONITOR or not isinstance(users, list) or not users):
        raise ValueError("users is a list of user ids, for the role monitor; leave it out for all users")
    user_id = table.get("user_id")
    if role == Role.VIEWER and user_id is None:
        raise ValueError("a viewer needs a user_id: whose flows they may see")
    owner = Principal(
        name=clean_name(name),
        via=Via.TOKEN,
        role=Role(role),
        user_id=None if user_id is None else clean_id(user_id),
        scope=None if users is None else clean_scope(users),
        expires_at=_moment(table.get("expires")),
        origin=origin_of(bytes.fromhex(hashed.removeprefix(_SCHEME))),
    )
    return Entry(bytes.fromhex(hashed.removeprefix(_SCHEME)), owner)


def _moment(value: Any) -> datetime | None:
    """A date means its very beginning, in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    if value is None:
        return None
    raise ValueError("expires must be a date or a time, without quotes")


def _text(value: str) -> str:
    """A string of TOML's: JSON's are, too, but for their way with characters beyond 16 bits."""
    return json.dumps(value, ensure_ascii=False)


class TokenTable:
    """Who has which token, as the file says now."""

    def __init__(self, file: WatchedFile[tuple[Entry, ...]] | None) -> None:
        self._file = file

    @classmethod
    def at(cls, path: str) -> "TokenTable":
        """The tokens of a file; `SettingsError` when it cannot be used. Without a file, an empty one."""
        return cls(WatchedFile("SPANFLOW_VIEWER_TOKENS_FILE", path, parsed) if path else None)

    @property
    def problem(self) -> str | None:
        """Why the file as it is now does not count."""
        return self._file.problem if self._file is not None else None

    def owner(self, token: str) -> Principal | None:
        """Whose token this is."""
        wanted = digest(token)
        match: Principal | None = None
        # Every entry is compared, so that the time that it takes says nothing about any of them.
        for entry in self._entries():
            if hmac.compare_digest(entry.digest, wanted):
                match = entry.owner
        return match

    def owner_now(self, origin: str) -> Principal | None:
        """Who has by now what `origin` names; None when it was taken out of the file."""
        return next((entry.owner for entry in self._entries() if entry.owner.origin == origin), None)

    def _entries(self) -> Sequence[Entry]:
        return self._file.value if self._file is not None else ()
