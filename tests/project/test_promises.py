"""Every promise, trap and attack names a test, and the tests are there."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

#: Pages, or chapters of pages.
PAGES = ("tests/promises.md", "tests/traps.md", "docs/threat-model.md#Tested attacks")
REFERENCE = re.compile(r"(?P<path>[\w./-]+\.(?:py|ts|tsx))(?:::(?P<name>[^`|<,]+))?")


def rows(page: str) -> list[tuple[str, str]]:
    found = []
    name, _, chapter = page.partition("#")
    text = (ROOT / name).read_text(encoding="utf-8")
    if chapter:
        text = text.partition(f"\n## {chapter}\n")[2].partition("\n## ")[0]
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) >= 2 and not set(line) <= set("|-: ") and cells[-1] != "proved by":
            found.append((" | ".join(cells[:-1]), cells[-1]))
    return found


def names_in(path: Path) -> set[str]:
    """The names a pytest file defines: functions, and `Class::method`."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names.add(node.name)
            names |= {f"{node.name}::{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
    return names


@pytest.mark.parametrize("page", PAGES)
def test_every_promise_names_a_test_that_exists(page: str) -> None:
    assert rows(page)
    wrong = []
    for promise, proof in rows(page):
        references = list(REFERENCE.finditer(proof))
        if not references:
            wrong.append(f"{promise!r} names no test")
        for reference in references:
            path, name = ROOT / reference["path"], (reference["name"] or "").strip().split("[")[0]
            if not path.is_file():
                wrong.append(f"{promise!r}: there is no {reference['path']}")
            elif path.suffix == ".py" and name and name not in names_in(path):
                wrong.append(f"{promise!r}: {reference['path']} has no {name}")
            elif path.suffix != ".py" and name and name not in path.read_text(encoding="utf-8"):
                wrong.append(f"{promise!r}: {reference['path']} has no test {name!r}")
    assert wrong == []
