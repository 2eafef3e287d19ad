"""Flows that match, one part of a file after the other, with as much in memory as one page of them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from spanflow.viewer_api.export.exported_flow import FlowFormat
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.flows.flow_reader import FlowReader
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.flows import FlowStore
from spanflow.viewer_api.store.search_plan import Position, SearchPlan

#: Some flows as they stand in the file, and how many come before them.
Write = Callable[[Sequence[PackedFlow], int], Awaitable[bytes]]
#: Flows that one search names, and bytes of documents that are read at once.
_PAGE: Final = 200
_MOST_BYTES: Final = 4 * 1024 * 1024


async def file_of(
    store: FlowStore, reader: FlowReader, filters: Filters, after: Position | None, made: FlowFormat, write: Write
) -> AsyncIterator[bytes]:
    """The newest flow first. A flow that is stored or removed concurrently is in the file or not, and never twice."""
    yield made.begin()
    number = 0
    async for flows in stored_flows(store, reader, filters, after):
        yield await write(flows, number)
        number += len(flows)
    yield made.end()


async def stored_flows(
    store: FlowStore, reader: FlowReader, filters: Filters, after: Position | None = None
) -> AsyncIterator[Sequence[PackedFlow]]:
    """As many at once as are read at once, as much of each as may be seen; the newest first."""
    plan = SearchPlan.of(filters)
    while True:
        page = await store.search.page(plan, after, _PAGE)
        rows = await reader.past(page.rows)
        places = [(row["start_key"], row["flow_id"]) for row in rows]
        while places:
            documents = await store.whole(places, _MOST_BYTES)
            if not documents:
                break  # removed since the search
            yield await reader.packed_past(documents)
            last = (documents[-1]["start_key"], documents[-1]["flow_id"])
            places = places[places.index(last) + 1 :]
        if page.end is None:
            return
        after = page.end
