"""How a page lies in its window."""

from typing import Final

from playwright.sync_api import Page

DESKTOP: Final = 1280
PHONE: Final = 390
#: Popovers follow a window's new size a frame later.
_TOO_WIDE: Final = """async () => {
    for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
    const root = document.documentElement;
    if (root.scrollWidth <= innerWidth) return [];
    const sticksOut = (each) => each.getBoundingClientRect().right > innerWidth + 1;
    const wide = [...document.querySelectorAll('body *')].filter(sticksOut);
    return [`${root.scrollWidth} of ${innerWidth} px`, ...wide.slice(0, 5).map((each) => each.outerHTML.slice(0, 160))];
}"""


def too_wide(page: Page) -> list[str]:
    """What sticks out of a page that can be scrolled sideways, at the width of a desk and of a phone."""
    found = []
    for width in (DESKTOP, PHONE):
        page.set_viewport_size({"width": width, "height": 844})
        found += [f"at {width}: {each}" for each in page.evaluate(_TOO_WIDE)]
    page.set_viewport_size({"width": DESKTOP, "height": 800})
    return found
