"""A misspelt setting is found, whichever role it was meant for, because nothing else would say that it does nothing."""

import asyncio

from spanflow.cli.checks.finding import Finding, Level, warning
from spanflow.cli.checks.settings import SettingNames
from tests.support.situations import situation


def findings(**environ: str) -> list[Finding]:
    async def run() -> list[Finding]:
        return [finding async for finding in SettingNames().run(situation(environ=environ))]

    return asyncio.run(run())


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant() -> None:
    assert findings(
        SPANFLOW_QEUE_BYTES="1000000", SPANFLOW_VIEWER_PROT="80", SPANFLOW_COLOUR="red", SPANFLOW_ENABLED="true"
    ) == [
        warning("SPANFLOW_COLOUR is no setting and changes nothing", "`spanflow settings` lists all of them."),
        warning("SPANFLOW_QEUE_BYTES is no setting and changes nothing", "Did you mean SPANFLOW_QUEUE_BYTES?"),
        warning("SPANFLOW_VIEWER_PROT is no setting and changes nothing", "Did you mean SPANFLOW_VIEWER_PORT?"),
    ]


def test_settings_of_every_role_raise_no_complaint() -> None:
    [finding] = findings(
        SPANFLOW_ENABLED="true",
        SPANFLOW_SCHEMA="flows",
        SPANFLOW_VIEWER_PORT="80",
        SPANFLOW_VIEWER_JWT_ISSUER="https://auth.example",
        SPANFLOW_URL="https://flows.example",
        PATH="/usr/bin",
    )
    assert finding.level is Level.OK


def test_no_name_is_exempt() -> None:
    assert [finding.level for finding in findings(SPANFLOW_TEST_CHROMIUM="/usr/bin/chromium")] == [Level.WARNING]
