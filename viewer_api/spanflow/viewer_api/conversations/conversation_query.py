"""What a client asks of the list of conversations."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.datastructures import QueryParams

from spanflow.viewer_api.http.list_query import ListQuery
from spanflow.viewer_api.http.paging import checked_moment, checked_row_id, unreadable_cursor
from spanflow.viewer_api.store.conversations import ConversationFilters
from spanflow.viewer_api.store.database import Row

KNOWN: Final = frozenset(
    ("user_id", "user", "since", "until", "mcp_server", "tool", "q", "min_tool_calls", "min_tokens")
    + ("count", "cursor", "limit")
)


@dataclass(frozen=True, slots=True)
class ConversationQuery:
    filters: ConversationFilters
    #: Part of an e-mail address or name; the user directory knows whose.
    person: str | None
    #: What was asked, for the audit log.
    searched: dict[str, Any]
    #: Its cursors, and whether it counts.
    listing: ListQuery

    def place(self, cursor: str | None) -> tuple[datetime, str] | None:
        """Where a page begins."""
        place = self.listing.place(cursor, 2)
        try:
            return None if place is None else (checked_moment(place[0]), checked_row_id(place[1]))
        except (ValueError, TypeError):
            raise unreadable_cursor() from None

    def cursor_after(self, row: Row) -> str:
        return self.listing.cursor(row["started_at"].isoformat(), row["conversation_id"])


def conversation_query(params: QueryParams, visible: frozenset[str] | None) -> ConversationQuery:
    """The query string; a problem that says which parameter is wrong, and why."""
    query = ListQuery(params, KNOWN, visible)
    user_ids = query.ids("user_id")
    numbers = {name: query.whole_number(name) for name in ("min_tool_calls", "min_tokens")}
    filters = ConversationFilters(
        user_ids=user_ids,
        mcp_servers=query.words("mcp_server"),
        tools=query.words("tool"),
        since=query.time("since"),
        until=query.time("until", end=True),
        text=query.text("q"),
        min_tool_calls=numbers["min_tool_calls"],
        min_tokens=numbers["min_tokens"],
        visible=visible,
    )
    # One user stands in a column of the audit log's own.
    searched = query.searched(*(["user_id"] if user_ids is not None and len(user_ids) == 1 else []))
    return ConversationQuery(
        filters=filters,
        person=query.text("user"),
        searched=searched | {name: number for name, number in numbers.items() if number is not None},
        listing=query,
    )
