"""The questions that an agent can ask about flows, answered by the viewer with the rights of the agent's token."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from spanflow.cli.agents.answer import Answer
from spanflow.cli.problem import WrongUse
from spanflow.cli.terminal.flow_filters import with_stated_times

MAX_SPANS: Final = 20
MAX_FLOWS: Final = 50
_MAX_RUNNING: Final = 3
_MAX_ROWS: Final = 200
_MAX_DIFFERENCES: Final = 20
_GROUPS_OF_FLOWS: Final = ("none", "source", "user")
_GROUPS_OF_STEPS: Final = ("checkpoint", "step", "tool", "mcp_server", "model")

#: GET a path with parameters.
Ask = Callable[[str, Mapping[str, Any]], Any]

_FLOW: Final = (
    "flow_id",
    "user_id",
    "email",
    "name",
    "open",
    "outcome",
    "started_at",
    "duration_ms",
    "span_count",
    "error_count",
    "tools",
    "models",
    "denied_gate",
    "denied_reason",
    "outcome_reason",
    "error_message",
)
_SPAN: Final = ("node_id", "depth", "event_type", "name", "state", "outcome", "duration_ms", "self_ms")
_NO_FLOWS: Final = (
    "no flow matches, or you may not see it. Widen the time range (since), drop a filter, or look the person up with "
    "find_people."
)


@dataclass(frozen=True, slots=True)
class Questions:
    ask: Ask

    def people(self, text: str) -> Answer:
        users = self.ask("/api/v1/monitoring/users", {"q": text, "limit": 20})["users"]
        hint = "no user matches; use fewer letters, or a part of the e-mail address."
        return Answer({"people": len(users)}, users, "what_is_running or find_flows with the id as user_id.", hint)

    def running(self, user_id: str | None) -> Answer:
        """What the newest running flows wait for: their open spans without an open child."""
        page = self.ask("/api/v1/flows", {"user_id": user_id, "outcome": "running", "limit": _MAX_RUNNING})
        flows = page["flows"]
        rows = []
        for flow in flows:
            whole = self._flow(flow["flow_id"])
            path = {"flow_id": flow["flow_id"], "flow": whole.get("name"), **_some(whole, ("user_id",))}
            rows += [{**path, **_some(span, (*_SPAN, "start_ns"))} for span in _innermost_open(whole["spans"])]
        hint = f"nothing{' of this user' if user_id else ''} is running now. find_flows shows what ended."
        head = {"user_id": user_id, "running_flows": len(flows), "more": bool(page.get("next")) or None}
        return Answer(head, rows, "span_details of a node_id for its arguments, or outline of the flow.", hint)

    def flows(self, filters: Mapping[str, Any], limit: int) -> Answer:
        asked = with_stated_times(filters, datetime.now(UTC))
        page = self.ask("/api/v1/flows", {**asked, "limit": max(1, min(limit, MAX_FLOWS))})
        rows = [_some(flow, _FLOW) for flow in page["flows"]]
        head = {"flows": len(rows), "more": bool(page.get("next")), "running_not_known": page.get("without_running")}
        return Answer(head, rows, "outline of a flow_id; explain_denial if it was denied.", _NO_FLOWS)

    def outline(self, flow_id: str, depth: int, under: str | None) -> Answer:
        whole = self._flow(flow_id)
        spans: Sequence[dict[str, Any]] = whole["spans"]
        top = 0
        if under is not None:
            spans = _subtree(spans, under)
            if not spans:
                raise WrongUse(f"the flow has no span {under}.")
            top = spans[0]["depth"]
        shown = [
            {**_some(span, _SPAN), **_hidden_below(span, span["depth"] - top == depth - 1)}
            for span in spans
            if span["depth"] - top < depth
        ]
        head = {**_some(whole, _FLOW), "spans": len(spans), "depth": whole["depth"], "under": under}
        return _first(
            _MAX_ROWS,
            head,
            shown,
            "span_details of up to 20 node_ids; outline with `under` to open a span with truncated_children.",
            "the flow has no spans.",
        )

    def details(self, flow_id: str, span_ids: Sequence[str]) -> Answer:
        if not 1 <= len(span_ids) <= MAX_SPANS:
            raise WrongUse(f"name 1 to {MAX_SPANS} spans.")
        wanted = set(span_ids)
        whole = self._flow(flow_id)
        rows = [span for span in whole["spans"] if span["node_id"] in wanted]
        missing = sorted(wanted - {span["node_id"] for span in rows})
        return Answer(
            {"flow_id": flow_id, "not_in_this_flow": missing or None},
            rows,
            "where_does_time_go for the flow, or compare_flows with a flow that went well.",
            "none of these spans is in the flow; take node_ids from outline.",
        )

    def time(self, flow_id: str) -> Answer:
        """Own time by kind of step, the most first."""
        whole = self._flow(flow_id)
        on_path = set(whole["critical_path"])
        kinds: dict[tuple[str, str], dict[str, Any]] = {}
        for span in whole["spans"]:
            kind = (span.get("event_type") or "span", span.get("name") or "")
            row = kinds.setdefault(
                kind, {"event_type": kind[0], "name": kind[1], "spans": 0, "self_ms": 0.0, "critical_ms": 0.0}
            )
            row["spans"] += 1
            row["self_ms"] += span.get("self_ms") or 0.0
            row["critical_ms"] += span.get("critical_ms") or 0.0
        rows = sorted(kinds.values(), key=lambda row: (-row["critical_ms"], -row["self_ms"]))
        head = {**_some(whole, ("flow_id", "name", "open", "duration_ms")), "spans_on_critical_path": len(on_path)}
        following = (
            "shorten what has critical_ms. compare_with_usual tells whether it is unusual; outline shows where it is."
        )
        return Answer(head, rows, following, "the flow has no spans.")

    def comparison(self, first: str, second: str) -> Answer:
        result = self.ask("/api/v1/flows/compare", {"a": first, "b": second})
        rows = result["rows"]
        biggest = [rows[place] for place in result["biggest"] if place < len(rows)]
        head = {
            "a": _some(result["a"], _FLOW),
            "b": _some(result["b"], _FLOW),
            **_some(result, ("delta_ms", "delta_percent", "counts")),
        }
        hint = "the two flows do not differ in any step; where_does_time_go shows what took their time."
        return Answer(head, biggest, "span_details of a row's spans. Positive differences: b took longer.", hint)

    def against_usual(self, flow_id: str) -> Answer:
        result = self.ask(f"/api/v1/flows/{quote(flow_id, safe='')}/usual", {})
        rows = [row for row in result["rows"] if row["status"] not in ("same", "unknown") and row["kind"] != "waiting"]
        rows += [row for row in result["rows"] if row["status"] == "slower" and row["kind"] == "waiting"]
        head = {
            "usual": result["a"],
            "flow": _some(result["b"], _FLOW),
            **_some(result, ("delta_ms", "delta_percent", "counts")),
        }
        following = (
            "span_details of a row's b. In rows, a is what is usual and b the flow. added: unusual; missing: usual, "
            "but not in this flow."
        )
        as_usual = "every step is as usual; where_does_time_go shows what took the time."
        hint = as_usual if result["a"]["enough"] else "too few flows of its kind: use compare_flows."
        return Answer(head, rows, following, hint)

    def different(self, a: Mapping[str, Any], b: Mapping[str, Any], both: Mapping[str, Any]) -> Answer:
        """The values whose share differs most between two groups of flows."""
        if not a and not b:
            raise WrongUse("say what sets the groups apart: filters in a, in b, or both.")
        now = datetime.now(UTC)
        groups = (
            ("a.", with_stated_times(a, now)),
            ("b.", with_stated_times(b, now)),
            ("", with_stated_times(both, now)),
        )
        asked = {prefix + name: value for prefix, filters in groups for name, value in filters.items()}
        result = self.ask("/api/v1/flows/differences", asked)
        hidden = [each["attribute"] for each in result["hidden"]]
        head = {"a": result["a"], "b": result["b"], "not_compared": hidden or None}
        following = (
            "find_flows with a row's filter and those of its group; compare_flows of one of each group. difference: "
            "the share in a minus that in b, 0.25 are 25 percentage points."
        )
        empty = " and ".join(name for name in ("a", "b") if not result[name]["sampled"])
        hint = "nothing differs by more than chance. Widen the time range, or set the groups further apart."
        if empty:
            hint = f"no flow is in {empty}. Check its filters with find_flows."
        return _first(_MAX_DIFFERENCES, head, result["differences"], following, hint)

    def statistics(self, group_by: str, sort: str, filters: Mapping[str, Any], limit: int) -> Answer:
        """Steps or flows by kind, summed up over many flows."""
        if group_by not in (*_GROUPS_OF_STEPS, *_GROUPS_OF_FLOWS):
            raise WrongUse(f"group_by: one of {', '.join((*_GROUPS_OF_STEPS, *_GROUPS_OF_FLOWS))}.")
        of = "flows" if group_by in _GROUPS_OF_FLOWS else "steps"
        limit = max(1, min(limit, MAX_FLOWS))
        asked = with_stated_times(filters, datetime.now(UTC))
        found = self.ask(f"/api/v1/statistics/{of}", {**asked, "group_by": group_by, "sort": sort, "limit": limit})
        rows = [_without_links(group) for group in found["groups"]]
        head = _some(found, ("since", "until", "shortened", "waiting", "group_by", "more"))
        following = "find_flows with a row's value as filter; what_is_different of the slow and the rest."
        return Answer(head, rows, following, _NO_FLOWS)

    def denial(self, flow_id: str) -> Answer:
        whole = self._flow(flow_id)
        rows = [span for span in whole["spans"] if span.get("outcome") == "denied"]
        head = _some(whole, _FLOW)
        following = "find_flows with this event_type as gate shows whom else it refused." if rows else ""
        hint = "no step of this flow denied anything. outcome says how it ended; outline shows its steps."
        return _first(MAX_SPANS, head, rows, following, hint)

    def _flow(self, flow_id: str) -> dict[str, Any]:
        whole: dict[str, Any] = self.ask(f"/api/v1/flows/{quote(flow_id, safe='')}/flat", {})
        return whole


def _first(most: int, head: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], following: str, hint: str) -> Answer:
    """So many rows, and how many there are beyond them."""
    return Answer(head, rows[:most], following, hint, max(0, len(rows) - most))


def _without_links(group: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers only: an agent finds flows by their filters."""
    return {
        name: value["count"] if isinstance(value, Mapping) and "count" in value else value
        for name, value in group.items()
        if value is not None and name != "other"
    }


def _some(document: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: document[name] for name in names if document.get(name) not in (None, [], "")}


def _hidden_below(span: Mapping[str, Any], is_last: bool) -> dict[str, Any]:
    below = span["below"]["spans"] if is_last else 0
    return {"truncated_children": below} if below else {}


def _subtree(spans: Sequence[dict[str, Any]], under: str) -> list[dict[str, Any]]:
    """A span and all below it: in reading order these stand together."""
    subtree: list[dict[str, Any]] = []
    for span in spans:
        if subtree and span["depth"] <= subtree[0]["depth"]:
            break
        if subtree or span["node_id"] == under:
            subtree.append(span)
    return subtree


def _innermost_open(spans: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Open spans under which nothing is open: what is being waited for."""
    waited_for = {span.get("parent_id") for span in spans if span.get("state") != "ended"}
    for span in spans:
        if span.get("state") != "ended" and span["node_id"] not in waited_for:
            yield span
