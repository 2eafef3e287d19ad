"""Notifications about watched users: which flow has changed, and the message that older dashboards know.

Those from before the user was known, or before anyone watched, are kept in order and sent then.
"""

from collections.abc import Iterator

import orjson

from spanflow.span_processors.encoding.open_flows import OpenFlow
from spanflow.span_processors.event.event import decode
from spanflow.span_processors.event.metadata import Metadata
from spanflow.span_processors.redis.mirror_items import Notification
from spanflow.span_processors.redis.watched import Watched
from spanflow.span_processors.tree.legacy_view import CheckpointAncestry, flow_event


def notification_for(flow: OpenFlow, watched: Watched, metadata: Metadata) -> Notification | None:
    """The ring for a flow that has news, if its user is watched; without contents when that is how they are."""
    user_id = flow.identity.user_id
    if user_id is None or not watched.is_watched(user_id):
        return None
    messages = tuple(_messages(flow, metadata if watched.is_metadata_only(user_id) else None))
    flow.moments.clear()
    return Notification(user_id, flow.flow_id, messages)


def _messages(flow: OpenFlow, metadata: Metadata | None) -> Iterator[bytes]:
    if not flow.moments:
        return
    if flow.ancestry is None:
        # Only flows with subscribers need this, so it is built lazily from all that is known by then.
        flow.ancestry = CheckpointAncestry(decode(data) for data in flow.entries)
        for opened in flow.open.values():
            flow.ancestry.add(decode(opened.data))
    for data in flow.moments:
        entry = decode(data)
        if not flow.ancestry.shows(entry["node_id"]):
            continue
        if metadata is not None:
            entry = metadata.event(entry)
        yield orjson.dumps(flow_event(entry, flow.ancestry.nearest(entry["node_id"]), flow.identity))
