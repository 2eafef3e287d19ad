"""How the text of an environment variable becomes a setting's value, or a sentence that says what to write instead."""

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

Parser = Callable[[str], Any]


def text(raw: str) -> str:
    return raw


def flag(raw: str) -> bool:
    word = raw.strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError("use true or false")


def names(raw: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in raw.split(",") if part.strip())


def whole(low: int, high: int) -> Parser:
    def parse(raw: str) -> int:
        try:
            number = int(raw.strip())
        except ValueError:
            raise ValueError(f"use a whole number from {low} to {high}") from None
        if not low <= number <= high:
            raise ValueError(f"use a whole number from {low} to {high}")
        return number

    return parse


def decimal(low: float, high: float, unit: str = "a number") -> Parser:
    def parse(raw: str) -> float:
        try:
            number = float(raw.strip())
        except ValueError:
            raise ValueError(f"use {unit} from {low:g} to {high:g}") from None
        if not low <= number <= high:
            raise ValueError(f"use {unit} from {low:g} to {high:g}")
        return number

    return parse


def days_or_for_ever(low: int, high: int) -> Parser:
    """A number of days, or 0 for no end."""

    def parse(raw: str) -> int:
        if raw.strip() == "0":
            return 0
        try:
            return int(whole(low, high)(raw))
        except ValueError:
            raise ValueError(f"use a whole number from {low} to {high}, or 0 for ever") from None

    return parse


def seconds(low: float, high: float) -> Parser:
    return decimal(low, high, "a number of seconds")


def one_of(*words: str) -> Parser:
    def parse(raw: str) -> str:
        word = raw.strip().lower()
        if word not in words:
            raise ValueError("use one of " + ", ".join(words))
        return word

    return parse


def mapping(*meanings: str) -> Parser:
    """`word=meaning` pairs, separated by commas; words are compared without regard to case."""

    def parse(raw: str) -> tuple[tuple[str, str], ...]:
        found: dict[str, str] = {}
        for part in names(raw):
            word, _, meaning = (half.strip() for half in part.partition("="))
            if not word or meaning not in meanings:
                raise ValueError(f"{part!r} is no pair; write word=meaning, with one of {', '.join(meanings)}")
            if found.setdefault(word.casefold(), meaning) != meaning:
                raise ValueError(f"{word!r} has two meanings")
        return tuple(found.items())

    return parse


def url_with(*schemes: str) -> Parser:
    def parse(raw: str) -> str:
        value = raw.strip()
        if not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError("start it with one of " + ", ".join(f"{scheme}://" for scheme in schemes))
        return value

    return parse


def folder(raw: str) -> str:
    """The path of a folder in an address, without a slash at its end."""
    path = raw.strip().rstrip("/")
    if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        raise ValueError("write it like /tools/spanflow: letters, digits and . _ ~ - between slashes")
    return path


def identifier(raw: str) -> str:
    value = raw.strip()
    if not value.isidentifier() or not value.isascii() or len(value) > 63:
        raise ValueError("use letters, digits and underscores, at most 63, not starting with a digit")
    return value


_SQL_NAME = r'(?:"(?:[^"\0]|"")+"|[A-Za-z_][A-Za-z0-9_$]*)'


def _stored_name(word: str) -> str:
    """A name as it stands in SQL → as Postgres stores it: in lower case unless it is quoted."""
    return word[1:-1].replace('""', '"') if word.startswith('"') else word.lower()


def relation(raw: str) -> tuple[str, ...]:
    """A table or view as it stands in SQL, with its schema or without → the parts of its name."""
    words = re.findall(_SQL_NAME, raw)
    if not 1 <= len(words) <= 2 or ".".join(words) != raw.strip():
        raise ValueError("write a table or view as in SQL, such as auth_service.users")
    return tuple(_stored_name(word) for word in words)


def user_columns(raw: str) -> tuple[str, str, str]:
    """`id=…, email=…, full_name=…` → the three columns; what is not named is called so, an empty name is none."""
    columns = {"id": "id", "email": "email", "full_name": "full_name"}
    for pair in names(raw):
        what, sign, column = (part.strip() for part in pair.partition("="))
        if what not in columns or not sign or (column and not re.fullmatch(_SQL_NAME, column)):
            raise ValueError("write id=column, email=column, full_name=column, separated by commas")
        columns[what] = _stored_name(column)
    if not columns["id"]:
        raise ValueError("name a column for id")
    return columns["id"], columns["email"], columns["full_name"]


def parse_rule(rule: str) -> tuple[str | None, str, str]:
    """`name pattern=type` or `@attribute:value pattern=type` → attribute or None, pattern, type."""
    what, _, event_type = (part.strip() for part in rule.rpartition("="))
    attribute, colon, pattern = what.removeprefix("@").partition(":")
    complete = bool(attribute and colon and pattern) if what.startswith("@") else bool(what)
    if not complete or not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", event_type):
        raise ValueError(
            f"{rule!r} is no rule; write name=type or @attribute:value=type, separated by semicolons, "
            "such as check_token=auth_check"
        )
    return (attribute.strip(), pattern.strip(), event_type) if what.startswith("@") else (None, what, event_type)


def rules(raw: str) -> tuple[str, ...]:
    """Rules that say which spans are checkpoints, separated by semicolons."""
    found = tuple(part.strip() for part in raw.split(";") if part.strip())
    for rule in found:
        parse_rule(rule)
    return found


def peers(raw: str) -> tuple[str, ...]:
    """Networks, and the two kinds of callers that have no address of their own."""
    words = names(raw)
    if words == ("nobody",):
        return ()
    for word in words:
        if word in {"unix", "forwarded"}:
            continue
        try:
            ip_network(word, strict=False)
        except ValueError:
            raise ValueError(
                f"{word!r} is no network; use addresses like 10.0.0.0/8 or ::1, and the words unix and forwarded"
            ) from None
    return words


redis_url = url_with("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
