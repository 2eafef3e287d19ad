"""One flow as a whole file, and some flows of a longer one, as a thread or the worker writes them."""

from collections.abc import Sequence

from spanflow.span_processors.tree.tree import Outlook
from spanflow.viewer_api.export.exported_flow import ExportedFlow
from spanflow.viewer_api.export.formats import format_of
from spanflow.viewer_api.flows.documents import PackedFlow


def written_file(flows: Sequence[PackedFlow], name: str, tokens: int, outlook: Outlook) -> bytes:
    """`name` is that of a format; `tokens` is for those that are cut to a budget."""
    made = format_of(name, tokens)
    parts = [made.flow(ExportedFlow(packed.unpacked(), outlook=outlook), place) for place, packed in enumerate(flows)]
    return b"".join([made.begin(), *parts, made.end()])


def written_part(flows: Sequence[PackedFlow], name: str, tokens: int, number: int) -> bytes:
    """Flows of the past in the middle of a file, behind `number` others."""
    made = format_of(name, tokens)
    parts = []
    for place, packed in enumerate(flows, number):
        stored = packed.text.encode() if isinstance(packed.text, str) else packed.text
        parts.append(made.flow(ExportedFlow(packed.unpacked(), stored=stored), place))
    return b"".join(parts)
