"""What a browser loads before the dashboard shows anything."""

import gzip
import re
from pathlib import Path

from tests.support.dashboard import DASHBOARD

MOST_BYTES = 200_000
#: The page that everybody lands on.
HOME = "FlowsPage"
_STATIC = re.compile(r"""(?:^|[;}])(?:import|export)(?:[^"'()]*?from)?["']\./([\w.-]+\.js)["']""")


def loaded_with(assets: Path, first: list[str]) -> set[str]:
    """Scripts, and what they import statically."""
    found: set[str] = set()
    waiting = list(first)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _STATIC.findall((assets / name).read_text())
    return found


def gzipped(assets: Path, names: set[str]) -> int:
    return sum(len(gzip.compress((assets / name).read_bytes(), 9)) for name in names)


def test_the_first_page_loads_little_script() -> None:
    assets = DASHBOARD / "assets"
    entries = re.findall(r'assets/([\w.-]+\.js)"', (DASHBOARD / "index.html").read_text())
    assert entries
    home = [path.name for path in assets.glob(f"{HOME}-*.js")]
    assert len(home) == 1
    names = loaded_with(assets, [*entries, *home])
    assert gzipped(assets, names) <= MOST_BYTES, sorted((gzipped(assets, {name}), name) for name in names)
    # What only some pages need comes with them.
    late = {path.name for path in assets.glob("*.js")} - names
    for library in ("TimeChart", "GraphView", "TextDiff", "Markdown"):
        assert any(name.startswith(library) for name in late), library
