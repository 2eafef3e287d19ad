"""What answers below `/legacy` say otherwise than ours: the types that pages written before Spanflow compute with.

Such a page calls `.toFixed` on a cost, multiplies `expires_at` by a thousand, searches in the e-mail address of
all users, and reports a missing session by the field `error`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.person import Person
from spanflow.viewer_api.store.watches import Watch

#: The end of a watch that has none: the last second that a JavaScript date can show in four digits of a year.
ENDLESS: Final = 253_402_300_799
_WITH_LENGTH: Final = frozenset({names.USER_MESSAGE, names.ASSISTANT_RESPONSE})


def flow_not_found() -> dict[str, Any]:
    return {"error": "Flow not found"}


def session_not_found(session_id: str) -> dict[str, Any]:
    return {"session_id": shown_id(session_id), "flows": [], "tree": {}, "error": "Session not found"}


def conversation_not_found(conversation_id: str) -> dict[str, Any]:
    return {"conversation_id": shown_id(conversation_id), "activities": [], "error": "Conversation not found"}


def seconds(moment: datetime | float | None) -> float:
    """A moment in seconds since 1970."""
    if isinstance(moment, datetime):
        return moment.timestamp()
    return ENDLESS if moment is None else min(moment, ENDLESS)


def watches(documents: Iterable[dict[str, Any]], known: Iterable[Watch]) -> list[dict[str, Any]]:
    return [
        {**with_address(document), "expires_at": seconds(watch.expires_at)}
        for document, watch in zip(documents, known, strict=True)
    ]


def with_address(document: dict[str, Any]) -> dict[str, Any]:
    """With an e-mail address and a name in any case: without one, the id is what a page can show."""
    user_id = document.get("id", document.get("user_id"))
    address = document.get("email") or document.get("full_name") or str(user_id)
    return {**document, "email": address, "full_name": document.get("full_name") or address}


def person(found: Person) -> dict[str, Any]:
    return with_address(found.shown())


def conversation(document: Mapping[str, Any], tool_ms: float | None) -> dict[str, Any]:
    """One conversation in a list; `tool_ms` is how long its steps took on average."""
    return {
        **with_address(dict(document)),
        "activity_count": document["total_activities"],
        "avg_tool_duration_ms": None if tool_ms is None else int(tool_ms),
        "mcp_servers": document["mcp_servers"] or [],
        "total_tokens": document["total_tokens"] or 0,
    }


def whole_conversation(document: Mapping[str, Any], cost: float | None) -> dict[str, Any]:
    """One conversation with its activities. A cost that is not known is none, for a page that can show only numbers."""
    return {
        **with_address(dict(document)),
        "total_tokens": document["total_tokens"] or 0,
        "estimated_cost": float(cost or 0),
    }


def activity(document: Mapping[str, Any], row: Row) -> dict[str, Any]:
    data = document["activity_data"]
    if isinstance(data, dict) and document["activity_type"] in _WITH_LENGTH:
        message = data.get("message")
        data = {**data, "message_length": data.get("message_length", len(message) if isinstance(message, str) else 0)}
        if document["activity_type"] == names.ASSISTANT_RESPONSE:
            data.setdefault("model", None)
    took = row["duration_ms"]
    return {**document, "activity_data": data, "duration_ms": None if took is None else round(took)}
