"""What a server span was answered says how its request ended, where nothing else does.

`ok` only means that the application answered. The words for outcomes stay the five that dashboards know; the kind of
denial or error stands beside them.
"""

from typing import Final, NamedTuple

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event

_SERVER: Final = "server"
#: The newest HTTP conventions, and the older ones that most instrumentations still follow.
_STATUS_CODES: Final = ("http.response.status_code", "http.status_code")


class Answer(NamedTuple):
    """An outcome, and its kind."""

    outcome: str | None
    reason: str | None


_NO_ANSWER: Final = Answer(None, None)
_DENIED: Final = {
    401: Answer(names.OUTCOME_DENIED, names.UNAUTHENTICATED),
    403: Answer(names.OUTCOME_DENIED, names.FORBIDDEN),
    429: Answer(names.OUTCOME_DENIED, names.RATE_LIMITED),
}
_CALLER_ERROR: Final = Answer(names.OUTCOME_ERROR, names.CALLER_ERROR)
_SERVER_ERROR: Final = Answer(names.OUTCOME_ERROR, names.SERVER_ERROR)
#: Gateways answer this when the model or tool took too long; a caller that is too slow rarely gets as far as a span.
_REQUEST_TIMEOUT: Final = 408


def answer_of(entry: Event) -> Answer:
    """What an ended server span's answer says; nothing of other spans, and of answers that are no refusal."""
    if entry.get("kind") != _SERVER or entry["phase"] != names.END:
        return _NO_ANSWER
    attributes = entry.get("attributes", {})
    code = next((code for name in _STATUS_CODES if isinstance(code := attributes.get(name), int)), 0)
    if code < 400 or code > 599:
        return _NO_ANSWER
    return _SERVER_ERROR if code >= 500 or code == _REQUEST_TIMEOUT else _DENIED.get(code, _CALLER_ERROR)


def outcome_of(entry: Event) -> Answer:
    """The outcome of a span as it is shown: its own, unless that is `ok` or missing and its answer says otherwise."""
    own = entry.get("outcome")
    answer = answer_of(entry)
    if own is None or own == names.OUTCOME_OK:
        return answer if answer.outcome is not None else Answer(own, None)
    return Answer(own, answer.reason if own in (names.OUTCOME_DENIED, names.OUTCOME_ERROR) else None)
