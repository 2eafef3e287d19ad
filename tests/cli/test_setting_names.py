"""A misspelt setting is found, because nothing else would say that it does nothing."""

import asyncio

from spanflow.cli.checks.finding import Finding, Level, Situation, warning
from spanflow.cli.checks.setting_names import SettingNames
from spanflow.span_processors.settings import Settings


def findings(**environ: str) -> list[Finding]:
    situation = Situation(Settings(), environ, None, "", None, "", None, "")

    async def look() -> list[Finding]:
        return [finding async for finding in SettingNames().look(situation)]

    return asyncio.run(look())


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant() -> None:
    assert findings(SPANFLOW_QEUE_BYTES="1000000", SPANFLOW_COLOUR="red", SPANFLOW_ENABLED="true") == [
        warning("SPANFLOW_COLOUR is no setting and changes nothing", "`spanflow settings` lists all of them."),
        warning("SPANFLOW_QEUE_BYTES is no setting and changes nothing", "Did you mean SPANFLOW_QUEUE_BYTES?"),
    ]


def test_settings_that_there_are_raise_no_complaint() -> None:
    [finding] = findings(SPANFLOW_ENABLED="true", SPANFLOW_TEST_CHROMIUM="/usr/bin/chromium", PATH="/usr/bin")
    assert finding.level is Level.OK
