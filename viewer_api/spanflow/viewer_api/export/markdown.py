"""A flow as Markdown: for people, and for models, which have a budget.

What a flow says is data and not instructions: it stands in fences that it cannot close, or in code that is one line.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.tree.http_answer import outcome_of
from spanflow.span_processors.tree.tree import NS_PER_MS, Node
from spanflow.viewer_api.export.exported_flow import ExportedFlow, milliseconds, values_of
from spanflow.viewer_api.http.responses import encode

DEFAULT_TOKENS: Final = 8_000
MOST_TOKENS: Final = 1_000_000
#: What models make a token of, more or less; a byte for a token at the very least.
_BYTES_PER_TOKEN: Final = 3
_MAX_LINE: Final = 200
_MAX_VALUE: Final = 4_000
_DEEPEST: Final = 20
#: Of the budget, so much is for the outline.
_OUTLINE_SHARE: Final = 0.6


class Markdown:
    media_type = "text/markdown; charset=utf-8"
    extension = "md"

    def __init__(self, tokens: int = DEFAULT_TOKENS) -> None:
        #: Of each flow.
        self._bytes = tokens * _BYTES_PER_TOKEN

    def begin(self) -> bytes:
        return b""

    def flow(self, exported: ExportedFlow, number: int) -> bytes:
        text = ("\n" if number else "") + "\n".join(_within(exported, self._bytes)) + "\n"
        return text.encode("utf-8", "replace")

    def end(self) -> bytes:
        return b""


def _within(exported: ExportedFlow, budget: int) -> Iterator[str]:
    head = list(_head(exported))
    left = budget - _size(head)
    yield from head
    nodes = [node for node in exported.tree.walk() if node.entry is not None]
    for_outline = max(0, int(left * _OUTLINE_SHARE))
    shown = 0
    for line in (_outline(exported, node) for node in nodes):
        if (size := _size([line])) > for_outline:
            break
        for_outline -= size
        left -= size
        shown += 1
        yield line
    if shown < len(nodes):
        yield f"- … {len(nodes) - shown} more steps are left out"
    yield ""
    yield "## Details"
    left -= 40
    for node in sorted(nodes, key=lambda each: _importance(exported, each)):
        lines = list(_details(node))
        if not lines:
            continue
        if (size := _size(lines)) > left:
            yield ""
            yield "Further details are left out."
            return
        left -= size
        yield from lines


def _head(exported: ExportedFlow) -> Iterator[str]:
    flow, about = exported.flow, exported.whole.head
    took = about["duration_ms"]
    facts: dict[str, Any] = {
        "user": flow.user_id,
        "session": flow.session_id,
        "conversation": flow.conversation_id,
        "started": None if flow.created_at is None else flow.created_at.isoformat(),
        "outcome": "running" if flow.open else about["outcome"],
        "because": about["denied_reason"] or about["error_message"] or about["outcome_reason"],
        "duration": None if took is None else milliseconds(took),
        "tokens": f"{about['tokens_input']} in, {about['tokens_output']} out",
        "spans": about["span_count"],
    }
    yield f"# Flow {code(flow.flow_id)}: {code(about['name'] or 'without a name')}"
    yield ""
    for name, value in facts.items():
        if value is not None:
            yield f"- {name}: {code(value)}"
    yield ""
    yield "## Steps"
    yield ""
    yield "Each with its duration; ◆ marks the critical path."
    yield ""


def _outline(exported: ExportedFlow, node: Node) -> str:
    entry = node.entry
    assert entry is not None
    facts = exported.whole.facts.get(node.node_id)
    kind = entry.get("event_type", names.PLAIN_SPAN)
    words = [] if kind == names.PLAIN_SPAN else [kind]
    words.append(code(entry.get("name", "")))
    if facts is not None:
        words.append(milliseconds(facts.duration_ns / NS_PER_MS))
        if facts.on_critical_path:
            words.append("◆")
    outcome = "running" if not node.ended else outcome_of(entry).outcome
    if outcome not in (None, names.OUTCOME_OK):
        words.append(f"**{outcome}**")
    if message := entry.get("status_message"):
        words.append(code(message))
    deeper = f"({node.depth}) " if node.depth > _DEEPEST else ""
    return f"{'  ' * min(node.depth, _DEEPEST)}- {deeper}{' '.join(words)}"


def _importance(exported: ExportedFlow, node: Node) -> tuple[int, int]:
    """What went wrong first, then what took long."""
    entry = node.entry
    assert entry is not None
    facts = exported.whole.facts.get(node.node_id)
    wrong = entry.get("status") == names.STATUS_ERROR or outcome_of(entry).outcome not in (None, names.OUTCOME_OK)
    return (0 if wrong else 1, -(facts.critical_ns if facts is not None else 0))


def _details(node: Node) -> Iterator[str]:
    entry = node.entry
    assert entry is not None
    attributes: Mapping[str, Any] = values_of(entry)
    if not attributes and not entry.get("logs"):
        return
    yield ""
    yield f"### {code(entry.get('name', ''))} {code(node.node_id)}"
    yield ""
    lines = [f"{key}: {_text(value)}" for key, value in attributes.items()]
    for log in entry.get("logs", ()):
        lines.append(f"event {log.get('name', '')}: {_text(log.get('attributes', {}))}")
    yield fenced("\n".join(lines))


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value) if isinstance(value, bytes) else encode(value).decode()
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}… ({len(text) - _MAX_VALUE} more characters)"


def code(value: Any) -> str:
    """One line of code that shows a text as it is, whatever is in it."""
    text = " ".join("".join(char if char.isprintable() else " " for char in str(value)).split())
    text = text if len(text) <= _MAX_LINE else text[:_MAX_LINE] + "…"
    ticks = "`" * (_longest_run(text) + 1)
    space = " " if text.startswith("`") or text.endswith("`") or not text else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def fenced(text: str) -> str:
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    longest = run = 0
    for char in text:
        run = run + 1 if char == "`" else 0
        longest = max(longest, run)
    return longest


def _size(lines: list[str]) -> int:
    return sum(len(line.encode("utf-8", "replace")) + 1 for line in lines)
