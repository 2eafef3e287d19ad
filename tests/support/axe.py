"""axe-core in a page of the dashboard: what it finds wrong with its accessibility."""

from functools import cache
from typing import Any, Final

from playwright.sync_api import Page

from tests.support.checkout import ROOT

_SOURCE: Final = ROOT / "viewer_api" / "web" / "node_modules" / "axe-core" / "axe.min.js"
_RUN: Final = """async () => {
    const { violations } = await axe.run(document, { preload: false, resultTypes: ['violations'] });
    const said = (rule, node) => `${rule.id}: ${node.html.slice(0, 200)} (${node.failureSummary})`;
    return violations.flatMap((rule) => rule.nodes.map((node) => said(rule, node)));
}"""


@cache
def _source() -> str:
    return _SOURCE.read_text()


def violations(page: Page) -> list[str]:
    """One line for each element with which a rule finds fault."""
    # Evaluated by the browser's debugger, which the page's Content-Security-Policy does not concern.
    page.evaluate(_source() + "; undefined")
    found: Any = page.evaluate(_RUN)
    return list(found)
