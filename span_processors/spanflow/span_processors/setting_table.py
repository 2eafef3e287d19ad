"""A table of settings: each row is a typed field with its environment variable, default and help.

There is one table per role (gateway, viewer, terminal), and a shared one beneath the first two. A process validates its
own table only, all rows at once, so that a person sees every mistake in one go, with what to change. The page
`docs/settings.md` and `spanflow settings` are generated from the same rows.
"""

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Final, Self, TypeVar

from spanflow.span_processors.setting_parsers import Parser

T = TypeVar("T")
MIB: Final = 1024 * 1024


class SettingsError(ValueError):
    """One or more settings cannot be used. The message has a line per setting that says what to change."""


def setting(env: str, default: T, help: str, *, parse: Parser, secret: bool = False, also: str | None = None) -> T:
    """A row of a table. `also` is an older name that is honoured when `env` is not set."""
    metadata = {"env": env, "help": help, "parse": parse, "secret": secret, "also": also}
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True)
class SettingTable:
    """The base of every table; it has no rows."""

    @classmethod
    def rows(cls) -> tuple["Field[Any]", ...]:
        """All rows, those of the tables beneath it first."""
        return fields(cls)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read and validate every row; raise one `SettingsError` that names all that is wrong."""
        source = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        mistakes: list[str] = []
        for row in cls.rows():
            name, raw = _lookup(row, source)
            if raw is None:
                continue
            try:
                values[row.name] = row.metadata["parse"](raw)
            except ValueError as why:
                shown = "its value" if row.metadata["secret"] else repr(raw)
                mistakes.append(f"{name}: {shown} cannot be used; {why}.")
        if mistakes:
            raise SettingsError("\n".join(mistakes))
        return cls(**values)


def _lookup(row: "Field[Any]", source: Mapping[str, str]) -> tuple[str, str | None]:
    """The variable that counts for a row and its text; an empty variable counts as not set."""
    for name in (row.metadata["env"], row.metadata["also"]):
        if name and source.get(name, "").strip():
            return name, source[name]
    return row.metadata["env"], None
