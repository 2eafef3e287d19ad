"""What has arrived in Redis: the flows of a user and the spans in them."""

from typing import Any

import orjson
import redis

from spanflow.span_processors import names


def flows_of(url: str, user_id: str) -> dict[str, list[dict[str, Any]]]:
    """Each flow of the user with its events."""
    client = redis.Redis.from_url(url)
    try:
        ids = [flow_id.decode() for flow_id in client.zrange(names.user_flows(user_id), 0, -1)]  # type: ignore[union-attr]
        return {flow_id: _events(client, flow_id) for flow_id in ids}
    finally:
        client.close()


def ended_names(events: list[dict[str, Any]]) -> list[str]:
    """The names of the spans that have ended, sorted."""
    named = {event["node_id"]: event["name"] for event in events if event.get("name")}
    return sorted(named[event["node_id"]] for event in events if event["phase"] == names.END)


def _events(client: Any, flow_id: str) -> list[dict[str, Any]]:
    field = names.STREAM_FIELD.encode()
    return [orjson.loads(entry[field]) for _, entry in client.xrange(names.flow_stream(flow_id))]
