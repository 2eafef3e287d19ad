"""What is the same for all spans of one name, type, kind and scope: found once, written once."""

from dataclasses import dataclass
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind

from spanflow.span_processors import names
from spanflow.span_processors.encoding.process_info import ProcessInfo, Scope
from spanflow.span_processors.encoding.span_events import KINDS, Part, to_json
from spanflow.span_processors.redaction.redaction import Redactor

#: Checkpoints of which dashboards hear when they start.
NOTIFY_AT_START: Final = frozenset({names.LLM_THINKING})
_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class Shape:
    """What all spans of one name, type, kind and scope have in common."""

    #: From `event_type` to `scope`, as it stands in a start.
    middle: bytes
    event_type: str
    is_checkpoint: bool
    #: When dashboards hear of it.
    rings_at_start: bool
    notifies_at_end: bool
    #: How many values were hidden in the name.
    hidden: int
    scope: Scope | None = None


class Shapes:
    """The shapes of this process's spans. Used by the encoder's thread only."""

    def __init__(self, process: ProcessInfo, redactor: Redactor) -> None:
        self._process = process
        self._redactor = redactor
        self._known: dict[tuple[str, str, int, int, int], Shape] = {}

    def after_fork(self) -> None:
        """The process has another name now, and that stands in every shape."""
        self._known.clear()

    def of(
        self,
        name: str,
        event_type: str,
        kind: SpanKind,
        scope: InstrumentationScope | None,
        flags: int,
        resource: Resource,
    ) -> Shape:
        # By identity: comparing scopes and hashing enumerations would cost more than all the rest.
        key = (name, event_type, id(kind), id(scope), flags)
        shape = self._known.get(key)
        if shape is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._process.learn_resource(resource)
            shape = self._known[key] = self._made(name, event_type, kind, scope, int(flags))
        return shape

    def _made(
        self, name: str, event_type: str, kind: SpanKind, scope: InstrumentationScope | None, flags: int
    ) -> Shape:
        shown, hidden = self._redactor.text(name)
        part: Part = {
            "event_type": event_type,
            "name": shown,
            "kind": KINDS[kind],
            "process": self._process.instance_id,
            "flags": flags,
        }
        cached_scope = self._process.scope(scope)
        if cached_scope is not None and cached_scope.key:
            part["scope"] = cached_scope.key
        written, _ = to_json(part)
        return Shape(
            written[1:-1],
            event_type,
            event_type != names.PLAIN_SPAN,
            event_type in NOTIFY_AT_START,
            notifies_at_end(event_type),
            hidden,
            cached_scope,
        )


def notifies_at_end(event_type: str) -> bool:
    """Dashboards hear of every other checkpoint when it ends."""
    return event_type != names.PLAIN_SPAN and event_type not in NOTIFY_AT_START
