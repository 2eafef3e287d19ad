"""A flow on its way out, and what every format has in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from spanflow.span_processors.event.event import Event, restored
from spanflow.span_processors.tree.tree import Outlook, Tree
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.flows.flow_tree import FlowTree, tree_of
from spanflow.viewer_api.http.responses import encode

#: What has not ended is as long as is known.
_PAST = Outlook(alive=frozenset())


@dataclass(frozen=True)
class ExportedFlow:
    """One flow, taken apart as far as a format asks for it."""

    flow: Flow
    #: The document as Postgres wrote it; None when it has to be written.
    stored: bytes | None = None
    outlook: Outlook = _PAST

    @cached_property
    def whole(self) -> FlowTree:
        return tree_of(self.flow, self.outlook)

    @property
    def tree(self) -> Tree:
        return self.whole.tree

    @property
    def entries(self) -> list[Event]:
        return self.flow.entries

    @property
    def processes(self) -> Mapping[str, Any]:
        return self.flow.processes

    @cached_property
    def document(self) -> bytes:
        return encode(self.flow.document) if self.stored is None else self.stored

    def head(self) -> dict[str, Any]:
        flow = self.flow
        return {
            **flow.ids(),
            "source": flow.source,
            "created_at": flow.created_at,
            "completed_at": flow.completed_at,
            "outcome": flow.outcome,
            "cost": flow.cost,
            "cut_spans": flow.cut_spans,
        }


class FlowFormat(Protocol):
    """Writes flows one after the other; it keeps nothing of those that it has written."""

    media_type: str
    #: Of the file.
    extension: str

    def begin(self) -> bytes: ...

    def flow(self, exported: ExportedFlow, number: int) -> bytes:
        """`number` counts from 0."""
        ...

    def end(self) -> bytes: ...


def milliseconds(value: float) -> str:
    """A duration for people and models: four digits, or all before the point, and never a power of ten."""
    if value >= 1000:
        return f"{value:.0f} ms"
    return f"{value:.4g} ms" if value >= 0.001 or not value else f"{value:.6f} ms"


def values_of(entry: Event) -> dict[str, Any]:
    """The attributes of a span as it had them."""
    attributes: dict[str, Any] = restored(entry).get("attributes", {})
    return attributes
