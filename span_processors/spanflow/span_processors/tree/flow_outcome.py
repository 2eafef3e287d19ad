"""How a flow ended, in one word: ok, denied, cancelled or error; for a denial also at which gate and why."""

from dataclasses import dataclass
from typing import Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, is_checkpoint
from spanflow.span_processors.tree.flow_outline import NO_PARENT, Outline
from spanflow.span_processors.tree.http_answer import Answer, answer_of
from spanflow.span_processors.tree.tree import time_of

#: What a checkpoint can do to its flow, the strongest first.
_DECISIVE: Final = (names.OUTCOME_DENIED, names.OUTCOME_CANCELLED, names.OUTCOME_ERROR)
_IS_DECISIVE: Final = frozenset(_DECISIVE)
_HAS_A_KIND: Final = frozenset({names.OUTCOME_DENIED, names.OUTCOME_ERROR})
#: Where a refusal says why: the reason itself, else the policy or guardrail that refused.
_REASONS: Final = (
    names.ATTR_DENIED_REASON,
    "gen_ai.guardrail.result.reason",
    "gen_ai.guardrail.policy.id",
    "gen_ai.guardrail.component.name",
    "litellm.guardrail.name",
    "guardrail_name",
    "plugin.name",
)


@dataclass(slots=True)
class Verdict:
    """The outcome, and for a denial the gate and the reason. All None while the flow is open."""

    outcome: str | None = None
    #: Which kind of denial or error the request was answered with.
    outcome_reason: str | None = None
    gate: str | None = None
    reason: str | None = None
    message: str | None = None


def verdict_of(outline: Outline, root: Event | None) -> Verdict:
    """What the root itself says went wrong counts most; where it says `ok`, or nothing, its checkpoints decide, then
    what it was answered.

    An `ok` only means that the application answered. It also answers the requests that its gates refuse.
    """
    if root is None or root["phase"] != names.END:
        return Verdict()
    decisive = _decisive_checkpoint(outline)
    answer = answer_of(root)
    outcome = root.get("outcome")
    if outcome is None or outcome == names.OUTCOME_OK:
        outcome = _outcome(root, decisive, answer)
    kind = answer.reason if outcome in _HAS_A_KIND else None
    if outcome == names.OUTCOME_OK:
        return Verdict(outcome, kind)
    if decisive is None:
        return Verdict(outcome, kind, reason=_own_reason(root) if outcome == names.OUTCOME_DENIED else None)
    message = decisive.get("status_message")
    if outcome != names.OUTCOME_DENIED:
        return Verdict(outcome, kind, message=message)
    attributes = decisive.get("attributes", {})
    own, *others = [value if isinstance(value := attributes.get(place), str) else None for place in _REASONS]
    # A message that only repeats an attribute, such as a status, says less than the name of what refused.
    telling = message if message not in attributes.values() else None
    reason = own or telling or next(filter(None, others), message)
    gate = decisive.get("event_type") if _refuses(decisive) else None
    return Verdict(outcome, kind, gate, reason, message)


def _own_reason(root: Event) -> str | None:
    """What the request itself says of its refusal, such as the reason with which a WebSocket was closed."""
    reason = root.get("attributes", {}).get(names.ATTR_DENIED_REASON)
    return reason if isinstance(reason, str) else None


def _outcome(root: Event, decisive: Event | None, answer: Answer) -> str:
    if decisive is not None:
        word = _word(decisive)
        if word != names.OUTCOME_ERROR or answer.outcome != names.OUTCOME_DENIED:
            return word
        # A gate that raised some error of its own, and the application made a refusal of that. Another step may have
        # met a limit of its model's provider (429), but whoever is answered 401 or 403 was refused.
        refused = _refuses(decisive) or answer.reason != names.RATE_LIMITED
        return names.OUTCOME_DENIED if refused else word
    if answer.outcome is not None:
        return answer.outcome
    return names.OUTCOME_ERROR if root.get("status") == names.STATUS_ERROR else names.OUTCOME_OK


def _refuses(entry: Event) -> bool:
    return entry.get("event_type") in names.GATES or _word(entry) == names.OUTCOME_DENIED


def _word(entry: Event) -> str:
    if entry.get("event_type") == names.ERROR:
        return names.OUTCOME_ERROR
    return entry.get("outcome", names.OUTCOME_OK)


def _decisive_checkpoint(outline: Outline) -> Event | None:
    """The checkpoint that ended the request: it went wrong, no step began after it, and no step around it went well.

    So a tool that fails or is refused inside a model call that goes on does not make the flow a failed one.
    """
    if _IS_DECISIVE.isdisjoint(outline.outcomes) and names.ERROR not in outline.event_types:
        return None
    entries = outline.entries
    last_begun = 0
    wrong: list[Event] = []
    went_well: list[bool] = []  # whether each is, or stands within, a step that went well
    for entry, parent in zip(entries, outline.parents, strict=True):
        well = parent != NO_PARENT and went_well[parent] and _outlasted(entry, entries[parent])
        if entry is not None and is_checkpoint(entry):
            if entry.get("event_type") != names.ERROR:
                last_begun = max(last_begun, time_of(entry, "start_ns") or 0)
            if _word(entry) in _DECISIVE and not well:
                wrong.append(entry)
            elif entry.get("outcome") == names.OUTCOME_OK:
                well = True
        went_well.append(well)
    last = [entry for entry in wrong if (end := time_of(entry, "end_ns")) is None or end >= last_begun]
    return next((entry for word in _DECISIVE for entry in reversed(last) if _word(entry) == word), None)


def _outlasted(entry: Event | None, parent: Event | None) -> bool:
    """Whether the parent went on after the entry; in a chain of steps, each is only the one before the next."""
    end, parent_end = _end_of(entry), _end_of(parent)
    return end is None or parent_end is None or parent_end >= end


def _end_of(entry: Event | None) -> int | None:
    return time_of(entry, "end_ns") if entry is not None and entry["phase"] == names.END else None
