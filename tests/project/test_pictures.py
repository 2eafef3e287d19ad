"""Pictures of the README and of the documentation: each is there, and can be taken again."""

import re

from tests.support.checkout import ROOT
from tests.support.screenshots import DOCUMENTED, SCENES

IMAGES = ROOT / "docs" / "images"
_SHOWN = re.compile(r"images/([\w-]+\.png)")


def test_every_picture_that_is_shown_is_one_of_those_that_make_screenshots_takes() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")]
    shown = {name for page in pages for name in _SHOWN.findall(page.read_text())}
    assert shown == set(DOCUMENTED) == {path.name for path in IMAGES.glob("*.png")}
    assert {scene for scene, _, _ in DOCUMENTED.values()} <= {scene.name for scene in SCENES}
