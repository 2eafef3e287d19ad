"""How much of one flow is stored: what comes later in it is cut, counted, and said in its document."""

from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from spanflow.span_processors.tree.flow_data import FlowData

#: What the archive itself has cut, at the top of the document: `{"cut": {"spans": 3, "bytes": 5120}}`.
CUT: Final = "cut"


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """The bounds of one stored flow."""

    max_spans: int = 20_000
    max_bytes: int = 32 * 1024 * 1024

    def applied(self, document: FlowData, encoded: bytes) -> tuple[FlowData, bytes]:
        """The document within the bounds, and its JSON; `encoded` is the JSON of the whole.

        Spans are kept in start order and none is skipped, so whatever order parts come in, the same ones are kept. The
        count of what was cut is exact for one writer, and the largest that any writer saw when there are several.
        """
        events = document["events"]
        if len(events) <= self.max_spans and len(encoded) <= self.max_bytes:
            return document, encoded
        kept = room = 0
        sizes = [len(orjson.dumps(event)) + 1 for event in events]
        for size in sizes[: self.max_spans]:
            if room + size > self.max_bytes:
                break
            room += size
            kept += 1
        before: dict[str, int] = cast(dict[str, Any], document).get(CUT) or {}
        cut = {
            "spans": max(len(events) - kept, before.get("spans", 0)),
            "bytes": max(sum(sizes[kept:]), before.get("bytes", 0)),
        }
        shorter = cast(FlowData, {**document, "events": events[:kept], CUT: cut})
        return shorter, orjson.dumps(shorter)
