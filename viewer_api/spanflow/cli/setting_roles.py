"""The tables of settings by role: who reads which. Everything that speaks about all settings starts here."""

from collections.abc import Iterator
from dataclasses import Field, dataclass
from inspect import get_annotations
from typing import Any

from spanflow.cli.terminal.terminal_settings import TerminalSettings
from spanflow.span_processors.setting_table import SettingTable
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.shared_settings import SharedSettings


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of process, and the tables whose rows only it reads."""

    title: str
    summary: str
    tables: tuple[type[SettingTable], ...]

    def rows(self) -> Iterator["Field[Any]"]:
        for table in self.tables:
            yield from own_rows(table)


def own_rows(table: type[SettingTable]) -> Iterator["Field[Any]"]:
    """The rows that a table has itself, without those of the tables beneath it."""
    own = get_annotations(table)
    return (row for row in table.rows() if row.name in own)


def roles() -> tuple[Role, ...]:
    """All of them, in the order in which people read about them."""
    from spanflow.viewer_api.settings.sign_in_settings import SignInSettings
    from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

    return (
        Role("Gateways and viewers", "Both read these. Use the same values in all processes.", (SharedSettings,)),
        Role("Gateways", "Every traced process reads these.", (Settings,)),
        Role("Viewers", "`spanflow serve` and `spanflow up` read these.", (ViewerSettings, SignInSettings)),
        Role(
            "Terminal",
            "`spanflow tail` and the other commands that connect to a viewer read these.",
            (TerminalSettings,),
        ),
    )


def all_rows() -> tuple["Field[Any]", ...]:
    return tuple(row for role in roles() for row in role.rows())
