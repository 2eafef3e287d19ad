"""Variables that look like settings and are none: they change nothing, and nobody says so."""

from collections.abc import AsyncIterator
from dataclasses import fields
from difflib import get_close_matches

from spanflow.cli.checks.finding import Finding, Situation, ok, warning
from spanflow.span_processors.settings import Settings

_PREFIX = "SPANFLOW_"
#: The project's own tests have variables that are no settings.
_OF_TESTS = "SPANFLOW_TEST_"


class SettingNames:
    title = "settings"

    async def look(self, situation: Situation) -> AsyncIterator[Finding]:
        known = {row.metadata["env"] for row in fields(Settings)}
        given = {name for name in situation.environ if name.startswith(_PREFIX) and not name.startswith(_OF_TESTS)}
        for name in sorted(given - known):
            # Without what all of them have in common, which makes short names look alike.
            words = [word.removeprefix(_PREFIX) for word in known]
            alike = get_close_matches(name.removeprefix(_PREFIX), words, 1, cutoff=0.8)
            repair = f"Did you mean {_PREFIX}{alike[0]}?" if alike else "`spanflow settings` lists all of them."
            yield warning(f"{name} is no setting and changes nothing", repair)
        if given <= known:
            yield ok(f"{len(given)} are set, and every name is known")
