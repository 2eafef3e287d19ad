"""Pictures of the README and of the documentation: each is there, and can be taken again."""

import re

from tests.support.checkout import ROOT
from tests.support.screenshots import DOCUMENTED, SCENES

IMAGES = ROOT / "docs" / "images"
_SHOWN = re.compile(r"images/([\w-]+\.png)")
#: Of the gateways' pages: `make gateway-pictures` takes one of each.
GATEWAYS = {f"{page.stem}.png" for page in (ROOT / "docs").glob("gateway-*.md")}


def test_every_picture_that_is_shown_can_be_taken_again() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")]
    shown = {name for page in pages for name in _SHOWN.findall(page.read_text())}
    assert shown == {*DOCUMENTED, *GATEWAYS} == {path.name for path in IMAGES.glob("*.png")}
    assert {scene for scene, _, _ in DOCUMENTED.values()} <= {scene.name for scene in SCENES}
