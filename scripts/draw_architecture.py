"""The picture of the system as SVG, from its description in docs/images/architecture.toml."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
SOURCE, PICTURE = IMAGES / "architecture.toml", IMAGES / "architecture.svg"

UNIT = 90
#: Readable on a light and on a dark page.
STYLE = """\
text{font:14px system-ui,sans-serif;fill:#1b222c;text-anchor:middle}.small{font-size:12px;fill:#4b5563}\
.title{font-weight:600}.frame{fill:#f4f6fa;stroke:#c5ccd8}.box{fill:#fff;stroke:#5b6b84}\
.store{fill:#e8f0ff;stroke:#2a66c8}.outside{fill:#fff;stroke:#8a93a3;stroke-dasharray:4 3}\
.arrow{fill:none;stroke:#5b6b84;stroke-width:1.5;marker-end:url(#tip)}.label{fill:#4b5563;font-size:12px;\
paint-order:stroke;stroke:#fff;stroke-width:4px}"""


def drawn(description: dict[str, Any]) -> str:
    width, height = (round(description[side] * UNIT) for side in ("width", "height"))
    boxes = {box["id"]: box for box in description["box"]}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>From a gateway's request to the dashboard</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#5b6b84"/></marker></defs>',
        f'<rect width="{width}" height="{height}" rx="8" fill="#fff"/>',
        *(line for frame in description["frame"] for line in _frame(frame)),
        *(line for arrow in description["arrow"] for line in _arrow(boxes[arrow["from"]], boxes[arrow["to"]], arrow)),
        *(line for box in boxes.values() for line in _box(box)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _frame(frame: dict[str, Any]) -> Iterator[str]:
    x, y, width, height = _place(frame)
    yield f'<rect class="frame" x="{x}" y="{y}" width="{width}" height="{height}" rx="10"/>'
    yield f'<text class="title" x="{x + width / 2:g}" y="{y + 26}">{escape(frame["title"])}</text>'


def _box(box: dict[str, Any]) -> Iterator[str]:
    x, y, width, height = _place(box)
    middle, centre = x + width / 2, y + height / 2
    yield f'<rect class="{box.get("kind", "box")}" x="{x}" y="{y}" width="{width}" height="{height}" rx="7"/>'
    text = box.get("text")
    yield f'<text class="title" x="{middle:g}" y="{centre - (6 if text else -5):g}">{escape(box["title"])}</text>'
    if text:
        yield f'<text class="small" x="{middle:g}" y="{centre + 16:g}">{escape(text)}</text>'


def _arrow(start: dict[str, Any], end: dict[str, Any], arrow: dict[str, Any]) -> Iterator[str]:
    """From edge to edge: sideways between columns, downwards within one."""
    ax, ay, awidth, aheight = _place(start)
    bx, by, bwidth, bheight = _place(end)
    x1: float
    x2: float
    y1: float
    y2: float
    if ax == bx:
        x1 = x2 = ax + awidth / 2
        y1, y2 = (ay + aheight, by) if by > ay else (ay, by + bheight)
    else:
        x1, x2 = (ax + awidth, bx) if bx > ax else (ax, bx + bwidth)
        y1, y2 = ay + aheight / 2, by + bheight / 2
    yield f'<path class="arrow" d="M{x1:g} {y1:g} L{x2:g} {y2:g}"/>'
    if label := arrow.get("text"):
        yield f'<text class="label" x="{(x1 + x2) / 2:g}" y="{(y1 + y2) / 2 - 6:g}">{escape(label)}</text>'


def _place(thing: dict[str, Any]) -> tuple[int, int, int, int]:
    (x, y), (width, height) = thing["at"], thing["size"]
    return round(x * UNIT), round(y * UNIT), round(width * UNIT), round(height * UNIT)


def picture() -> str:
    """The SVG as it should stand beside its description."""
    return drawn(tomllib.loads(SOURCE.read_text(encoding="utf-8")))
