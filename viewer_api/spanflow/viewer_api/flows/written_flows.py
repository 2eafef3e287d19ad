"""Whole answers about flows, made from packed flows: in a thread where they are small, in the worker where not."""

from collections.abc import Sequence

from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.flows.legacy_answers import as_session_document, session_tree_json
from spanflow.viewer_api.http.responses import encode
from spanflow.viewer_api.http.trace_links import trace_link


def written_flow(flows: Sequence[PackedFlow], trace_url: str) -> bytes:
    """One flow with its spans, as it is stored, and by the template `trace_url` its page in another tool."""
    (packed,) = flows
    flow = packed.unpacked()
    return encode(
        {
            **flow.ids(),
            "open": flow.open,
            "created_at": flow.created_at,
            "completed_at": flow.completed_at,
            "source": flow.source,
            "cut_spans": flow.cut_spans,
            "contents": flow.contents,
            **trace_link(trace_url, flow.flow_id),
            "flow_data": flow.document,
        }
    )


def written_session(flows: Sequence[PackedFlow], session_id: str) -> bytes:
    """A session as one flow."""
    return encode(as_session_document(session_id, [packed.unpacked() for packed in flows]))


def written_session_tree(flows: Sequence[PackedFlow], session_id: str) -> bytes:
    """A session's flows, and all their checkpoints as one tree."""
    return session_tree_json(session_id, [packed.unpacked() for packed in flows])
