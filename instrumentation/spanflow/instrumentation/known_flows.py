"""What this process knows about its flows by trace id: whose they are, and which of their spans are still open.

`identify` may be called where the context is not propagated (a dependency in a thread pool), so identity cannot
live in the context alone. There is no lock: every step is one atomic operation on a dict, and a fork copies it whole.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from opentelemetry.trace import Span

from spanflow.span_processors import names
from spanflow.span_processors.identity import NOBODY, Identity

#: Spans may come long after their flow's root has ended: flows are remembered until newer ones push them out.
REMEMBERED: Final = 4096
#: At most so many open spans of one flow get a late identity.
OPEN_SPANS: Final = 4096


def identity_attributes(identity: Identity) -> dict[str, str]:
    """The attributes that every span of a person's flow carries."""
    pairs = (
        (names.ATTR_USER_ID, identity.user_id),
        (names.ATTR_SESSION_ID, identity.conversation_id or identity.session_id),
        (names.ATTR_CONVERSATION_ID, identity.conversation_id),
        (names.ATTR_FLOW_SESSION_ID, identity.session_id),
        (names.ATTR_SOURCE, identity.source),
    )
    return {name: value for name, value in pairs if value is not None}


def personal_attributes(identity: Identity) -> dict[str, str]:
    """What only a flow's root carries: once is enough for a name, an e-mail address and a team."""
    pairs = (
        (names.ATTR_USER_EMAIL, identity.email),
        (names.ATTR_USER_FULL_NAME, identity.full_name),
        (names.ATTR_USER_TEAM, identity.team),
    )
    return {name: value for name, value in pairs if value is not None}


def learned(known: Identity, newer: Identity) -> Identity:
    """What is known after `newer`. Another user brings a name, an e-mail address and a team of their own, or none."""
    if known is NOBODY or newer is known:
        return newer
    if newer is NOBODY:
        return known
    if newer.user_id is not None and known.user_id is not None and newer.user_id != known.user_id:
        known = replace(known, email=None, full_name=None, team=None)
    return known.merged(newer)


class KnownFlow:
    """One trace as this process sees it."""

    __slots__ = ("attributes", "identity", "open_spans", "root", "root_id")

    def __init__(self) -> None:
        self.identity: Identity = NOBODY
        self.attributes: Mapping[str, str] = {}
        self.open_spans: dict[int, Span] = {}
        self.root: Span | None = None
        self.root_id = 0

    def learn(self, newer: Identity) -> bool:
        """Whether `newer` says anything that was not known."""
        merged = learned(self.identity, newer)
        if merged == self.identity:
            return False
        self.identity = merged
        self.attributes = identity_attributes(merged)
        return True


class KnownFlows:
    """The flows of this process, the newest `REMEMBERED` of them."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        # Not a dict: finding the first key of one gets slow when it is always the first that goes.
        self._flows: OrderedDict[int, KnownFlow] = OrderedDict()
        self._remembered = remembered

    def get(self, trace_id: int) -> KnownFlow | None:
        return self._flows.get(trace_id)

    def started(self, span: Span, trace_id: int, span_id: int, is_root: bool, identity: Identity) -> KnownFlow:
        flow = self._flows.get(trace_id)
        if flow is None:
            flow = self._flows.setdefault(trace_id, KnownFlow())
            self._forget_oldest()
        if identity is not NOBODY and flow.identity is NOBODY:
            flow.learn(identity)
        if len(flow.open_spans) < OPEN_SPANS:
            flow.open_spans[span_id] = span
        if is_root and flow.root is None:
            flow.root = span
            flow.root_id = span_id
        return flow

    def child_started(self, span: Span) -> KnownFlow | None:
        """The same for a span with a parent in this process; None where the flow's identity is not known yet."""
        span_context = span.get_span_context()
        flow = self._flows.get(span_context[0])
        if flow is None or flow.identity is NOBODY:
            return None
        if len(flow.open_spans) < OPEN_SPANS:
            flow.open_spans[span_context[1]] = span
        return flow

    def ended(self, trace_id: int, span_id: int) -> None:
        flow = self._flows.get(trace_id)
        if flow is not None:
            flow.open_spans.pop(span_id, None)
            if flow.root_id == span_id:
                flow.root = None
                flow.root_id = 0

    def _forget_oldest(self) -> None:
        while len(self._flows) > self._remembered:
            try:
                self._flows.popitem(last=False)
            except KeyError:  # another thread was faster
                return
