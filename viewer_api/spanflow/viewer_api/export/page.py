"""One flow as a page that needs nothing else: no script, no network, no fonts. It opens from a disk, years later.

The page forbids itself everything but its own style, and every text in it is escaped.
"""

from collections.abc import Iterator
from html import escape
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.tree.http_answer import outcome_of
from spanflow.span_processors.tree.tree import NS_PER_MS, Node
from spanflow.viewer_api.export.exported_flow import ExportedFlow, milliseconds, values_of
from spanflow.viewer_api.http.responses import encode

_MAX_TEXT: Final = 20_000
#: Deeper steps are not indented further.
_DEEPEST: Final = 30
_STYLE: Final = """
:root{color-scheme:light dark}
body{font:14px/1.5 system-ui,sans-serif;margin:1.5rem;max-width:110rem}
h1{font-size:1.2rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:0 1rem}dt{opacity:.7}dd{margin:0}
details{border-top:1px solid #8884}
summary{display:grid;grid-template-columns:minmax(20rem,1fr) 7rem 40%;gap:1rem;cursor:pointer}
summary>span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.t{text-align:right;font-variant-numeric:tabular-nums}.b{position:relative;height:1.4em}
.b i{position:absolute;top:.3em;height:.8em;min-width:1px;background:#5b8def;border-radius:2px}
.c .b i{background:#e0902f}.w{color:#d33;font-weight:600}.k{opacity:.7}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.5rem 0 1rem 1rem;padding:.5rem;background:#8881}
"""


class Page:
    """For one flow: a page of many would be useless."""

    media_type = "text/html; charset=utf-8"
    extension = "html"

    def begin(self) -> bytes:
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="referrer" content="no-referrer">'
            f"<title>Flow</title><style>{_STYLE}</style></head><body>\n"
        ).encode()

    def flow(self, exported: ExportedFlow, number: int) -> bytes:
        return "\n".join(_lines(exported)).encode("utf-8", "replace")

    def end(self) -> bytes:
        return b"\n</body></html>\n"


def _lines(exported: ExportedFlow) -> Iterator[str]:
    flow, about = exported.flow, exported.whole.head
    took = about["duration_ms"]
    yield f"<h1>{_shown(about['name'] or 'Flow')}</h1><dl>"
    facts = {
        "flow": flow.flow_id,
        "user": flow.user_id,
        "session": flow.session_id,
        "conversation": flow.conversation_id,
        "started": None if flow.created_at is None else flow.created_at.isoformat(),
        "outcome": "running" if flow.open else about["outcome"],
        "because": about["denied_reason"] or about["error_message"] or about["outcome_reason"],
        "duration": None if took is None else milliseconds(took),
        "tokens": f"{about['tokens_input']} in, {about['tokens_output']} out",
    }
    for name, value in facts.items():
        if value is not None:
            yield f"<dt>{name}</dt><dd>{_shown(value)}</dd>"
    yield "</dl>"
    times = exported.whole.facts.values()
    start = min((each.start_ns for each in times), default=0)
    whole = max(1, max((each.end_ns for each in times), default=0) - start)
    for node in exported.tree.walk():
        yield _step(exported, node, start, whole)


def _step(exported: ExportedFlow, node: Node, start: int, whole: int) -> str:
    facts, entry = exported.whole.facts.get(node.node_id), node.entry
    bar, took, on_path = "", "", False
    if facts is not None:
        left, width = 100 * (facts.start_ns - start) / whole, 100 * facts.duration_ns / whole
        bar = f'<i style="left:{left:.3f}%;width:{width:.3f}%"></i>'
        took = milliseconds(facts.duration_ns / NS_PER_MS)
        on_path = facts.on_critical_path
    indent = min(node.depth, _DEEPEST)
    return (
        f'<details{" class=c" if on_path else ""}><summary><span style="padding-left:{indent}em">{_label(node)}</span>'
        f'<span class="t">{took}</span><span class="b">{bar}</span></summary>'
        f"<pre>{_shown(_details(entry) if entry is not None else node.node_id)}</pre></details>"
    )


def _label(node: Node) -> str:
    if node.entry is None:
        return "(a step that has not been heard of)"
    kind, name = node.entry.get("event_type", names.PLAIN_SPAN), node.entry.get("name", "")
    label = "" if kind in (names.PLAIN_SPAN, name) else f'<span class="k">{_shown(kind)}</span> '
    outcome = "running" if not node.ended else outcome_of(node.entry).outcome
    wrong = "" if outcome in (None, names.OUTCOME_OK) else f' <span class="w">{_shown(outcome)}</span>'
    return f"{label}{_shown(name)}{wrong}"


def _details(entry: Any) -> str:
    fields = ("node_id", "parent_id", "kind", "start_ns", "end_ns", "status", "status_message", "outcome", "process")
    lines = [f"{name}: {entry[name]}" for name in fields if entry.get(name) not in (None, "")]
    lines += [f"{key}: {_text(value)}" for key, value in values_of(entry).items()]
    lines += [f"event {log.get('name', '')}: {_text(log.get('attributes', {}))}" for log in entry.get("logs", ())]
    return "\n".join(lines)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value) if isinstance(value, bytes) else encode(value).decode()
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… ({len(text) - _MAX_TEXT} more characters)"


def _shown(text: Any) -> str:
    """As text of a page: no control character moves or hides anything."""
    plain = "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in str(text))
    return escape(plain, quote=True)
