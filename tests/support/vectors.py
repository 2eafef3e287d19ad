"""The shared vectors of `tests/vectors/`: events of one flow, and the tree they must become in every language."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spanflow.span_processors.tree.tree import Outlook

FOLDER = Path(__file__).parent.parent / "vectors"


def vectors() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def expanded(vector: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """The events and the expected rows, with what `repeat` describes written out."""
    repeat = vector.get("repeat", {"count": 0, "events": [], "tree": []})
    events = [*vector["events"], *_copies(repeat["events"], repeat["count"])]
    return events, [*vector.get("tree", []), *_copies(repeat["tree"], repeat["count"])]


def _copies(templates: list[dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    for i in range(count):
        filled = {
            "{node}": f"{i:016x}",
            "{parent}": f"{i - 1:016x}" if i else None,
            "{depth}": i,
            "{start}": str(10**18 + i),
            "{end}": str(2 * 10**18 - i),
        }
        for template in templates:
            yield {key: filled.get(value, value) for key, value in template.items()}


def outlook_of(vector: dict[str, Any]) -> Outlook:
    known = vector.get("outlook", {})
    now = known.get("now_ns")
    alive = known.get("alive")
    return Outlook(
        now_ns=None if now is None else int(now),
        alive=None if alive is None else frozenset(alive),
        usual_p95_ns=known.get("usual_p95_ns", {}),
        stalled_after_ns=known.get("stalled_after_ns", Outlook().stalled_after_ns),
    )
