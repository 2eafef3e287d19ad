"""The outcome of a step in the words of gateways that report their steps: `status`, `safe`, `allowed`, `passed`.

A check that flagged something did not go well, though nothing broke: that is a refusal. Whether the request went on
all the same is shown by the steps after it.
"""

from collections.abc import Mapping
from typing import Any, Final

from spanflow.span_processors import names

_OK: Final = frozenset({"success", "passed", "pass", "allowed", "completed", "complete"})
_REFUSED: Final = frozenset({"blocked", "rejected", "forbidden", "flagged", "refused"})
_FAILED: Final = frozenset({"failed", "failure"})
#: Answers of a check; false is a refusal. Old rows carry them as text.
_ANSWERS: Final = ("allowed", "passed", "safe")
_OUTCOMES: Final[Mapping[str, str]] = {
    **{outcome: outcome for outcome in names.OUTCOMES},
    **dict.fromkeys(_OK, names.OUTCOME_OK),
    **dict.fromkeys(_REFUSED, names.OUTCOME_DENIED),
    **dict.fromkeys(_FAILED, names.OUTCOME_ERROR),
}


def outcome_in(data: Mapping[str, Any]) -> str | None:
    """What the data of a step say about how it went; None when they do not."""
    if any(_is_false(data.get(answer)) for answer in _ANSWERS):
        return names.OUTCOME_DENIED
    return _OUTCOMES.get(status_in(data).lower())


def status_in(data: Mapping[str, Any]) -> str:
    """The gateway's own word; empty when it gave none."""
    status = data.get("status")
    return status if isinstance(status, str) else ""


def refusal_in(data: Mapping[str, Any]) -> str:
    """Why a step refused, as far as it says."""
    for word in ("reason", "message", "error", "status"):
        if (said := data.get(word)) and isinstance(said, str):
            return said
    return "flagged" if _is_false(data.get("safe")) else "refused"


def _is_false(value: object) -> bool:
    return value is False or (isinstance(value, str) and value.lower() == "false")
