"""What was asked in flows and what was answered, for lists: first words, and only of what may be seen."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree import flow_data
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.flows.flow_reader import FlowReader
from spanflow.viewer_api.flows.message_texts import answered_in, asked_in, preview
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.flow_previews import FlowPreviewStore


@dataclass(frozen=True, slots=True)
class Preview:
    user_id: str | None
    question: str | None = None
    answer: str | None = None


async def previews_of(flow_ids: Sequence[str], store: FlowPreviewStore, reader: FlowReader) -> dict[str, Preview]:
    """By flow id. What may not be seen is missing; what is withheld has no words."""
    live = {flow.flow_id: flow for flow in await reader.running_among(flow_ids)}
    owners = await reader.past([row for row in await store.owners(flow_ids) if row["flow_id"] not in live])
    kept_back = {row["flow_id"]: row["user_id"] for row in owners if reader.withheld.of_past(row["user_id"])}
    owners = [row for row in owners if row["flow_id"] not in kept_back]
    said = await store.said([row["flow_id"] for row in owners])
    silent = [row for row in owners if not _tells(said.get(row["flow_id"]))]
    documents = await store.documents(silent)
    previews = await asyncio.to_thread(_previews, live, owners, said, documents)
    return previews | {flow_id: Preview(user_id) for flow_id, user_id in kept_back.items()}


def _previews(
    live: Mapping[str, Flow], owners: Sequence[Row], said: Mapping[str, Row], documents: Sequence[Row]
) -> dict[str, Preview]:
    recorded = {row["flow_id"]: orjson.loads(row["flow_data"] or "{}") for row in documents}
    previews = {flow_id: _of_entries(flow.user_id, flow.entries) for flow_id, flow in live.items()}
    for row in owners:
        flow_id, told = row["flow_id"], said.get(row["flow_id"])
        if told is not None and _tells(told):
            previews[flow_id] = Preview(row["user_id"], preview(told["question"]), preview(told["answer"]))
        else:
            previews[flow_id] = _of_entries(row["user_id"], flow_data.events_in(recorded.get(flow_id, {})))
    return previews


def _of_entries(user_id: str | None, entries: Sequence[Event]) -> Preview:
    return Preview(user_id, preview(asked_in(entries)), preview(answered_in(entries)))


def _tells(row: Row | None) -> bool:
    return row is not None and bool(row["question"] or row["answer"])
