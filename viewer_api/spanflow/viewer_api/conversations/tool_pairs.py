"""Which response of a tool belongs to which call."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from spanflow.span_processors import names

Activity = Mapping[str, Any]
_SAID: Final = ("call_id", "mcp_server", "tool_name")
#: A response looks at so many unanswered calls, the earliest, before it.
_MAX_WAITING: Final = 1000


def paired(activities: Sequence[Activity]) -> dict[str, str]:
    """Ids of calls → ids of their responses, by what is known of both, the surest sign first.

    An id of the call that both carry; the same span; the same server and tool in the same flow; and last, for gateways
    that say nothing of the kind, the earliest call of the flow that has no answer. What is said must not contradict.
    """
    pairs: dict[str, str] = {}
    waiting: list[Activity] = []
    for activity in activities:
        if activity["activity_type"] == names.MCP_TOOL_CALL:
            waiting.append(activity)
            del waiting[:-_MAX_WAITING]
        elif activity["activity_type"] == names.MCP_TOOL_RESPONSE:
            call = _call_of(activity, waiting)
            if call is not None:
                waiting.remove(call)
                pairs[call["activity_id"]] = activity["activity_id"]
    return pairs


def _call_of(response: Activity, waiting: Sequence[Activity]) -> Activity | None:
    if response["call_id"] is not None:
        named = [call for call in waiting if call["call_id"] == response["call_id"]]
        if named:
            return named[0]
    able = [call for call in waiting if _agree(call, response)]
    signs: tuple[Callable[[Activity], bool], ...] = (
        lambda call: call["node_id"] is not None and call["node_id"] == response["node_id"],
        lambda call: bool(response["tool_name"]) and call["tool_name"] == response["tool_name"],
        lambda call: True,
    )
    return next((call for sign in signs for call in able if sign(call)), None)


def _agree(call: Activity, response: Activity) -> bool:
    if call["flow_id"] != response["flow_id"]:
        return False
    return all(not call[key] or not response[key] or call[key] == response[key] for key in _SAID)
