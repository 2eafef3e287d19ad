"""One row of the table of settings: a typed field with its environment variable, default and help."""

from dataclasses import field
from typing import Final, TypeVar

from spanflow.span_processors.setting_parsers import Parser

T = TypeVar("T")
MIB: Final = 1024 * 1024


def setting(env: str, default: T, help: str, *, parse: Parser, secret: bool = False, also: str | None = None) -> T:
    """A row of the table. `also` is an older name that is honoured when `env` is not set."""
    metadata = {"env": env, "help": help, "parse": parse, "secret": secret, "also": also}
    return field(default=default, metadata=metadata, repr=not secret)
