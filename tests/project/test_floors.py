"""Our lower bounds allow no version with a weakness that is known here."""

import runpy
import subprocess
import sys
import tomllib
from typing import Any

import pytest

from tests.support.checkout import ROOT

SCRIPT = runpy.run_path(str(ROOT / "scripts" / "check_floors.py"))
problems, forgotten = SCRIPT["problems"], SCRIPT["forgotten"]
ADVISORY = {"id": "X-1", "package": "Some.Package", "affected": ">=1.0,<2.5", "about": "it breaks"}


def project(*requirements: str) -> dict[str, Any]:
    return {"dependencies": list(requirements[:1]), "optional-dependencies": {"more": list(requirements[1:])}}


def test_no_floor_of_ours_allows_a_known_weakness() -> None:
    script = str(ROOT / "scripts" / "check_floors.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    known = tomllib.loads((ROOT / "requirements" / "advisories.toml").read_text())
    assert len(known["advisory"]) > 20
    assert f"last looked up on {known['date']:%Y-%m-%d}." in done.stdout


@pytest.mark.parametrize(
    ("requirements", "fine"),
    [
        (("some-package>=2.5",), True),
        (("other", "some-package[extra]>=2.5,<3"), True),
        (("some-package>=1", "some-package>=3"), True),
        (("some-package>=2.4.9",), False),
        (("some-package>=0.9",), False),
        (("some-package",), False),
        (("other>=9",), False),
    ],
)
def test_a_floor_is_held_against_the_list(requirements: tuple[str, ...], fine: bool) -> None:
    found = problems(project(*requirements), [ADVISORY])
    assert (found == []) is fine
    assert fine or "X-1" in found[0] and ">=2.5" in found[0]


def test_no_package_is_forgotten() -> None:
    known = {"advisory": [ADVISORY], "unaffected": ["other"]}
    assert forgotten(project("some_package>=3", "Other>=1"), known) == []
    assert forgotten(project("some-package>=3", "new[extra]>=1", "other"), known) == [
        "new: look up its weaknesses, and list it"
    ]
    assert forgotten(project("some-package>=3"), known) == ["other: it is not asked for"]
    both = {"advisory": [ADVISORY], "unaffected": ["some-package", "other"]}
    assert forgotten(project("some-package>=3", "other"), both) == ["some-package: it has an advisory"]
