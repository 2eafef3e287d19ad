"""Links that show one flow without a sign-in. Of a link's token only a hash is kept.

They are read where they are written: a replica does not know yet what was revoked.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from spanflow.viewer_api.store.database import Connection, Database, Row

#: Links of one operator that work at the same time.
MAX_LINKS: Final = 1000
#: Opening a link again so soon is not counted again.
_SAME_LOOK: Final = "interval '60 seconds'"
_COLUMNS: Final = """
link_id, flow_id, user_id, contents, created_at, created_by, expires_at, revoked_at, revoked_by, opened_at, opened,
owner
"""
_ADD: Final = f"""
INSERT INTO {{s}}.share_links (link_id, token_hash, flow_id, user_id, contents, created_at, expires_at, owner,
                               created_by, owner_user_id, owner_role, owner_scope, owner_origin)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text[], $13
WHERE (SELECT count(*) FROM {{s}}.share_links WHERE owner = $8 AND expires_at > $6 AND revoked_at IS NULL) < {MAX_LINKS}
RETURNING {_COLUMNS}
"""
_PAGE: Final = f"""
SELECT {_COLUMNS} FROM {{s}}.share_links
WHERE ($1::text IS NULL OR owner = $1) AND ($2::text[] IS NULL OR user_id = ANY ($2))
  AND ($3::text IS NULL OR flow_id = $3) AND ($4::timestamptz IS NULL OR (created_at, link_id) < ($4, $5))
ORDER BY created_at DESC, link_id DESC LIMIT $6
"""
_REVOKE: Final = f"""
UPDATE {{s}}.share_links SET revoked_at = coalesce(revoked_at, $2), revoked_by = coalesce(revoked_by, $3)
WHERE link_id = $1 AND ($4::text IS NULL OR owner = $4)
RETURNING {_COLUMNS}
"""
_VALID: Final = """
SELECT link_id, flow_id, contents, expires_at, created_by, owner_user_id, owner_role, owner_scope, owner_origin
FROM {s}.share_links WHERE token_hash = $1 AND expires_at > $2 AND revoked_at IS NULL
"""
#: Empty when it ended meanwhile; `counted` says whether it was not opened just before.
_OPENED: Final = f"""
WITH before AS (SELECT link_id, opened_at FROM {{s}}.share_links WHERE link_id = $1 FOR UPDATE)
UPDATE {{s}}.share_links AS link
SET opened_at = CASE WHEN before.opened_at > $2 - {_SAME_LOOK} THEN link.opened_at ELSE $2 END,
    opened    = link.opened + (before.opened_at > $2 - {_SAME_LOOK} IS NOT TRUE)::integer
FROM before WHERE link.link_id = before.link_id AND link.expires_at > $2 AND link.revoked_at IS NULL
RETURNING before.opened_at > $2 - {_SAME_LOOK} IS NOT TRUE AS counted
"""


@dataclass(frozen=True, slots=True)
class Owner:
    """The operator who makes a link, and what they signed in with."""

    key: str
    name: str
    user_id: str | None
    role: str
    scope: frozenset[str] | None
    origin: str | None


@dataclass(frozen=True, slots=True)
class NewLink:
    flow_id: str
    user_id: str | None
    contents: bool
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ValidLink:
    """A link that works."""

    link_id: str
    flow_id: str
    contents: bool
    expires_at: datetime
    owner: Owner


def new_token() -> str:
    return secrets.token_urlsafe(32)


class ShareLinks:
    """`database` is the one that is written to."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def add(self, connection: Connection, token: str, link: NewLink, owner: Owner) -> Row | None:
        """None when the operator has too many, or the flow was erased."""
        scope = None if owner.scope is None else sorted(owner.scope)
        row: Row | None = await connection.fetchrow(
            self.database.sql(_ADD),
            secrets.token_hex(8),
            _hash(token),
            link.flow_id,
            link.user_id,
            link.contents,
            link.created_at,
            link.expires_at,
            owner.key,
            owner.name,
            owner.user_id,
            owner.role,
            scope,
            owner.origin,
        )
        return row

    async def page(
        self,
        owner: str | None,
        visible: Sequence[str] | None,
        flow_id: str | None,
        before: tuple[datetime, str] | None,
        limit: int,
    ) -> list[Row]:
        """The newest first; those of one operator, and about users who may be seen."""
        moment, link_id = before or (None, None)
        async with self.database.transaction() as connection:
            statement = self.database.sql(_PAGE)
            rows: list[Row] = await connection.fetch(statement, owner, visible, flow_id, moment, link_id, limit)
        return rows

    async def revoke(
        self, connection: Connection, link_id: str, now: datetime, by: str, owner: str | None
    ) -> Row | None:
        row: Row | None = await connection.fetchrow(self.database.sql(_REVOKE), link_id, now, by, owner)
        return row

    async def valid(self, token: str, now: datetime) -> ValidLink | None:
        """What a token stands for; None for a wrong one and for one that has ended."""
        async with self.database.transaction() as connection:
            row = await connection.fetchrow(self.database.sql(_VALID), _hash(token), now)
        if row is None:
            return None
        scope = None if row["owner_scope"] is None else frozenset(row["owner_scope"])
        owner = Owner("", row["created_by"], row["owner_user_id"], row["owner_role"], scope, row["owner_origin"])
        return ValidLink(row["link_id"], row["flow_id"], row["contents"], row["expires_at"], owner)

    async def opened(self, connection: Connection, link_id: str, now: datetime) -> bool | None:
        """Count a use: whether it counts, being none of the same minute; None when the link has ended meanwhile."""
        row = await connection.fetchrow(self.database.sql(_OPENED), link_id, now)
        return None if row is None else bool(row["counted"])


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
