"""Whether a lower bound in pyproject.toml allows a version with a known weakness (`requirements/advisories.toml`)."""

import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent


def asked_for(project: dict[str, Any]) -> dict[str, SpecifierSet]:
    """What users are asked to install, by name, with all bounds together."""
    texts = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    found: dict[str, SpecifierSet] = {}
    for requirement in map(Requirement, texts):
        name = canonicalize_name(requirement.name)
        found[name] = found.get(name, SpecifierSet()) & requirement.specifier
    return found


def floor_of(bounds: SpecifierSet) -> Version | None:
    lowest = [Version(bound.version) for bound in bounds if bound.operator in {">=", "==", "~="}]
    return max(lowest, default=None)


def problems(project: dict[str, Any], advisories: list[dict[str, str]]) -> list[str]:
    """A line for each weakness that a floor allows. A package that is listed must have a floor."""
    asked, found = asked_for(project), []
    for advisory in advisories:
        name, affected = canonicalize_name(advisory["package"]), SpecifierSet(advisory["affected"])
        floor = floor_of(asked.get(name, SpecifierSet()))
        fixed = max(Version(bound.version) for bound in affected if bound.operator in {"<", "==", "<="})
        if floor is None or floor < fixed or affected.contains(floor):
            found.append(
                f"{name}: {floor or 'any version'} has {advisory['id']} ({advisory['about']}); ask for >={fixed}"
            )
    return found


def forgotten(project: dict[str, Any], known: dict[str, Any]) -> list[str]:
    """A line for each package that is in neither list, or only in one that it is not asked for any more."""
    asked = set(asked_for(project))
    listed = {canonicalize_name(advisory["package"]) for advisory in known["advisory"]}
    unaffected = {canonicalize_name(name) for name in known["unaffected"]}
    lines = [f"{name}: look up its weaknesses, and list it" for name in sorted(asked - listed - unaffected)]
    lines += [f"{name}: it is not asked for" for name in sorted((listed | unaffected) - asked)]
    return lines + [f"{name}: it has an advisory" for name in sorted(listed & unaffected)]


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = tomllib.loads((ROOT / "requirements" / "advisories.toml").read_text())
    for line in (lines := [*problems(project, known["advisory"]), *forgotten(project, known)]):
        sys.stderr.write(f"{line}\n")
    sys.stdout.write(f"Held against {len(known['advisory'])} weaknesses, last looked up on {known['date']}.\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
