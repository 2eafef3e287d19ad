"""An application that traced itself before Spanflow: its tables, and how it writes and reads them.

Numbers name its users, UUIDs its sessions and conversations, and one table holds its general configuration. It binds
plain Python values (`int`, `UUID`, `str`) without saying their SQL types, as `text()` statements do, so whether a
statement works depends on the types of the columns.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import Boolean, CursorResult, DateTime, Integer, String, Text, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool

TABLES: Final = """
CREATE SCHEMA auth_service;
CREATE TABLE auth_service.users (
    id serial PRIMARY KEY, username varchar(100) NOT NULL, email varchar(255) UNIQUE NOT NULL, name varchar(255)
);
CREATE TABLE auth_service.teams (id serial PRIMARY KEY, name varchar(100) UNIQUE NOT NULL);
CREATE TABLE auth_service.team_members (
    team_id integer REFERENCES auth_service.teams, user_id integer REFERENCES auth_service.users,
    PRIMARY KEY (team_id, user_id)
);
CREATE SCHEMA omni2;
CREATE TABLE omni2.interaction_flows (
    id serial PRIMARY KEY,
    session_id uuid UNIQUE NOT NULL,
    user_id integer NOT NULL,
    conversation_id uuid,
    flow_data jsonb NOT NULL,
    source varchar(50) DEFAULT 'chat',
    created_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz
);
CREATE INDEX idx_interaction_flows_user ON omni2.interaction_flows (user_id, created_at DESC);
CREATE TABLE omni2.user_activities (
    activity_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL,
    session_id uuid NOT NULL,
    user_id integer NOT NULL,
    sequence_num integer NOT NULL,
    activity_type varchar(50) NOT NULL,
    activity_data jsonb NOT NULL,
    duration_ms integer,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_activities_conversation ON omni2.user_activities (conversation_id, sequence_num);
CREATE INDEX idx_activities_user ON omni2.user_activities (user_id, created_at DESC);
CREATE TABLE omni2.omni2_config (
    id serial PRIMARY KEY,
    config_key varchar(100) UNIQUE NOT NULL,
    config_value jsonb NOT NULL,
    description text,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_omni2_config_id ON omni2.omni2_config (id);
INSERT INTO auth_service.users (username, email, name) VALUES
    ('ann', 'ann@example.com', 'Ann Example'), ('ben', 'ben@example.com', 'Ben Example');
INSERT INTO auth_service.teams (name) VALUES ('research');
INSERT INTO auth_service.team_members VALUES (1, 1), (1, 2);
INSERT INTO omni2.omni2_config (config_key, config_value, description) VALUES
    ('health_check', '{"interval_seconds": 60}', 'How often servers are asked'),
    ('prompt_guard', '{"enabled": true, "threshold": 0.5, "bypass_roles": []}', NULL);
"""


class Base(DeclarativeBase):
    pass


class Configuration(Base):
    __tablename__ = "omni2_config"
    __table_args__ = {"schema": "omni2"}

    id: Mapped[int] = mapped_column(Integer, primary_key=True, index=True)
    config_key: Mapped[str] = mapped_column(String(100), unique=True)
    config_value: Mapped[dict[str, Any]] = mapped_column(JSONB)
    description: Mapped[str | None] = mapped_column(Text)
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)
    created_at: Mapped[Any] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[Any] = mapped_column(DateTime(timezone=True), server_default=func.now(), onupdate=func.now())


@dataclass
class Application:
    """Its reads and writes, each as the application makes it: in a session of its own, committed."""

    dsn: str
    engine: AsyncEngine = field(init=False)

    def __post_init__(self) -> None:
        async def connect(**options: Any) -> asyncpg.Connection:
            return await asyncpg.connect(self.dsn, **options)

        self.engine = create_async_engine(
            "postgresql+asyncpg://", poolclass=NullPool, connect_args={"async_creator_fn": connect}
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False, autoflush=False)

    def session(self) -> AsyncSession:
        return self._sessions()

    async def _run(self, statement: str, **values: Any) -> list[Any]:
        async with self.session() as db:
            result = cast("CursorResult[Any]", await db.execute(text(statement), values))
            rows: list[Any] = list(result.fetchall()) if result.returns_rows else []
            await db.commit()
            return rows

    # -- its own trackers ----------------------------------------------------------------------------------------------

    async def save_flow(
        self,
        session_id: UUID,
        user_id: int,
        events: list[dict[str, Any]],
        *,
        conversation_id: UUID | None = None,
        source: str = "chat",
    ) -> None:
        """One row per session; saving again replaces what it says."""
        document = {"session_id": str(session_id), "user_id": user_id, "events": events}
        columns, values = "session_id, user_id, flow_data, completed_at, source", ":sid, :uid, :doc, now(), :source"
        more: dict[str, Any] = {}
        if conversation_id is not None:
            columns, values, more = f"{columns}, conversation_id", f"{values}, :cid", {"cid": str(conversation_id)}
        await self._run(
            f"INSERT INTO omni2.interaction_flows ({columns}) VALUES ({values}) ON CONFLICT (session_id) "
            "DO UPDATE SET flow_data = excluded.flow_data, completed_at = now()",
            sid=str(session_id),
            uid=user_id,
            doc=json.dumps(document),
            source=source,
            **more,
        )

    async def save_activity(
        self, conversation_id: UUID, session_id: UUID, user_id: int, number: int, kind: str, data: dict[str, Any]
    ) -> UUID:
        activity_id = uuid4()
        await self._run(
            "INSERT INTO omni2.user_activities (activity_id, conversation_id, session_id, user_id, sequence_num, "
            "activity_type, activity_data, duration_ms, created_at) "
            "VALUES (:id, :cid, :sid, :uid, :number, :kind, :data, :ms, now())",
            id=activity_id,
            cid=conversation_id,
            sid=session_id,
            uid=user_id,
            number=number,
            kind=kind,
            data=json.dumps(data),
            ms=None,
        )
        return activity_id

    async def next_number(self, conversation_id: UUID) -> int:
        [[number]] = await self._run(
            "SELECT coalesce(max(sequence_num), 0) + 1 FROM omni2.user_activities WHERE conversation_id = :cid",
            cid=conversation_id,
        )
        return int(number)

    # -- its configuration ---------------------------------------------------------------------------------------------

    async def configuration(self, key: str) -> Configuration | None:
        async with self.session() as db:
            wanted = select(Configuration).where(Configuration.config_key == key, Configuration.is_active)
            return (await db.execute(wanted)).scalar_one_or_none()

    async def configure(self, key: str, value: dict[str, Any]) -> int:
        """Through the ORM, which reads the new row's id back."""
        async with self.session() as db:
            row = Configuration(config_key=key, config_value=value)
            db.add(row)
            await db.commit()
            return row.id

    async def reconfigure(self, key: str, value: dict[str, Any]) -> None:
        async with self.session() as db:
            await db.execute(update(Configuration).where(Configuration.config_key == key).values(config_value=value))
            await db.commit()

    async def forget(self, key: str) -> None:
        async with self.session() as db:
            await db.execute(delete(Configuration).where(Configuration.config_key == key))
            await db.commit()

    async def set_flag(self, key: str, name: str, flag: bool) -> None:
        await self._run(
            "UPDATE omni2.omni2_config SET config_value = jsonb_set(config_value, CAST(:path AS text[]), "
            "CAST(:flag AS jsonb)), updated_at = now() WHERE config_key = :key",
            path=[name],
            flag=json.dumps(flag),
            key=key,
        )

    # -- who is watched ------------------------------------------------------------------------------------------------

    async def watch(self, user_id: int, seconds: float = 3600) -> float:
        expires_at = time.time() + seconds
        await self._run(
            "INSERT INTO omni2.omni2_config (config_key, config_value, description, is_active) "
            "VALUES (:key, CAST(:value AS jsonb), :said, true) ON CONFLICT (config_key) "
            "DO UPDATE SET config_value = excluded.config_value, updated_at = now()",
            key=f"monitor_user_{user_id}",
            value=json.dumps({"expires_at": expires_at}),
            said=f"Monitoring of user {user_id}",
        )
        return expires_at

    async def unwatch(self, user_id: int) -> None:
        await self._run("DELETE FROM omni2.omni2_config WHERE config_key = :key", key=f"monitor_user_{user_id}")

    async def watched(self) -> dict[int, float]:
        rows = await self._run(
            "SELECT config_key, config_value FROM omni2.omni2_config "
            "WHERE config_key LIKE 'monitor_user_%' AND is_active = true"
        )
        return {int(key.removeprefix("monitor_user_")): value["expires_at"] for key, value in rows}

    # -- its pages -----------------------------------------------------------------------------------------------------

    async def flows_of(self, user_id: int, source: str | None = None) -> list[Any]:
        """Newest first: session, document, beginning, end, source."""
        only, more = (" AND source = :source", {"source": source}) if source else ("", {})
        return await self._run(
            "SELECT session_id, flow_data, created_at, completed_at, source FROM omni2.interaction_flows "
            f"WHERE user_id = :uid{only} ORDER BY created_at DESC LIMIT :most",
            uid=user_id,
            most=50,
            **more,
        )

    async def flow_of_session(self, session_id: str) -> Any:
        rows = await self._run(
            "SELECT session_id, user_id, flow_data, created_at, completed_at FROM omni2.interaction_flows "
            "WHERE session_id = :sid",
            sid=session_id,
        )
        return rows[0] if rows else None

    async def conversations(self, user_id: int) -> list[Any]:
        """Conversation, user, number of activities, of tool calls, servers, first message."""
        return await self._run(
            "SELECT conversation_id, user_id, count(*), count(*) FILTER (WHERE activity_type = 'mcp_tool_call'), "
            "array_agg(DISTINCT activity_data ->> 'mcp_server') FILTER (WHERE activity_data ? 'mcp_server'), "
            "(SELECT activity_data ->> 'message' FROM omni2.user_activities AS first "
            " WHERE first.conversation_id = shown.conversation_id AND activity_type = 'user_message' "
            " ORDER BY sequence_num LIMIT 1) "
            "FROM omni2.user_activities AS shown WHERE user_id = :uid GROUP BY 1, 2 ORDER BY min(created_at)",
            uid=user_id,
        )

    async def activities(self, conversation_id: UUID) -> list[Any]:
        return await self._run(
            "SELECT activity_id, sequence_num, activity_type, activity_data, user_id, session_id "
            "FROM omni2.user_activities WHERE conversation_id = :cid ORDER BY sequence_num",
            cid=conversation_id,
        )

    async def tool_calls(self, days: int = 30) -> list[Any]:
        """Server, tool, calls, users: read out of the documents' events."""
        return await self._run(
            "SELECT event ->> 'mcp', event ->> 'tool', count(*), count(DISTINCT flow.user_id) "
            "FROM omni2.interaction_flows AS flow, jsonb_array_elements(flow.flow_data -> 'events') AS event "
            "WHERE event ->> 'event_type' = 'tool_call' AND flow.created_at >= now() - interval '1 day' * :days "
            "GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2",
            days=days,
        )

    async def sources(self) -> list[Any]:
        """Source, sessions, events, users."""
        return await self._run(
            "SELECT source, count(*), sum(jsonb_array_length(flow_data -> 'events')), count(DISTINCT user_id) "
            "FROM omni2.interaction_flows GROUP BY source ORDER BY source"
        )

    async def team_calls(self) -> list[Any]:
        """Team, sessions, tool calls: joined with users by number."""
        return await self._run(
            "SELECT team.name, count(DISTINCT flow.session_id), "
            "count(*) FILTER (WHERE event ->> 'event_type' = 'tool_call') "
            "FROM auth_service.teams AS team "
            "JOIN auth_service.team_members AS member ON member.team_id = team.id "
            "JOIN omni2.interaction_flows AS flow ON flow.user_id = member.user_id "
            "LEFT JOIN LATERAL jsonb_array_elements(flow.flow_data -> 'events') AS event ON true "
            "GROUP BY team.name ORDER BY team.name"
        )


class Synchronous:
    """The same for a test without an event loop: each call runs in one of its own."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.application = Application(dsn)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **keywords: asyncio.run(getattr(self.application, name)(*args, **keywords))


def event(event_type: str, at: float, **data: Any) -> dict[str, Any]:
    """An event as the application stores it: every value a text."""
    return {
        "node_id": str(uuid4()),
        "event_type": event_type,
        "parent_id": "",
        "timestamp": str(at),
        **{name: str(value) for name, value in data.items()},
    }
