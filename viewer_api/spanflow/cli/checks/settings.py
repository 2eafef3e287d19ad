"""Variables that cannot be used, and variables that look like settings and are none."""

from collections.abc import AsyncIterator
from difflib import get_close_matches

from spanflow.cli.checks.finding import Finding, Situation, ok, problem, warning
from spanflow.cli.setting_roles import all_rows

_PREFIX = "SPANFLOW_"


class SettingValues:
    """Every role validates its own settings when it starts; this validates all of them."""

    title = "settings"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        if situation.gateway_problem:
            yield problem("a gateway runs untraced with these settings", situation.gateway_problem)
        if situation.viewer_problem:
            yield problem("the viewer does not start with these settings", situation.viewer_problem)
        if not situation.gateway_problem and not situation.viewer_problem:
            yield ok("every value can be used")


class SettingNames:
    title = "settings"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        setting_names = {row.metadata["env"] for row in all_rows()}
        given = {name for name in situation.environ if name.startswith(_PREFIX)}
        for name in sorted(given - setting_names):
            # Without what all of them have in common, which makes short names look alike.
            words = [word.removeprefix(_PREFIX) for word in setting_names]
            alike = get_close_matches(name.removeprefix(_PREFIX), words, 1, cutoff=0.8)
            repair = f"Did you mean {_PREFIX}{alike[0]}?" if alike else "`spanflow settings` lists all of them."
            yield warning(f"{name} is no setting and changes nothing", repair)
        if given <= setting_names:
            yield ok(f"{len(given)} are set, and every name is known")
