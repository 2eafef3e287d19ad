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


def url_with(*schemes: str) -> Parser:
    def parse(raw: str) -> str:
        value = raw.strip()
        if not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError("start it with one of " + ", ".join(f"{scheme}://" for scheme in schemes))
        return value

    return parse


def identifier(raw: str) -> str:
    value = raw.strip()
    if not value.isidentifier() or not value.isascii() or len(value) > 63:
        raise ValueError("use letters, digits and underscores, at most 63, not starting with a digit")
    return value


def identifier_or_nothing(raw: str) -> str:
    return identifier(raw) if raw.strip() else ""


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
    parts = tuple(part.strip() for part in raw.split(";") if part.strip())
    for rule in parts:
        parse_rule(rule)
    return parts


def noise_rules(raw: str) -> tuple[str, ...]:
    """Rules that say which flows are left out, separated by semicolons."""
    parts = tuple(part.strip() for part in raw.split(";") if part.strip())
    for rule in parts:
        if rule.startswith("@") and not all(map(str.strip, rule.removeprefix("@").partition(":"))):
            raise ValueError(f"{rule!r} is no rule; write @attribute:value, such as @user_agent.original:Pingdom*")
        if set(rule) <= set("*/ "):
            raise ValueError(f"{rule!r} would leave out everything")
    return parts


def functions(raw: str) -> tuple[str, ...]:
    """Functions by their module and name."""
    parsed = names(raw)
    for name in parsed:
        module, _, function = name.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), *function.split("."))):
            raise ValueError(
                f"{name!r} names no function; write module:function, such as my_gateway.users:from_session"
            )
    return parsed


_STANDARD_CLAIMS = ("user_id=sub", "email=email", "full_name=name")
_IDENTITY_FIELDS = ("user_id", "email", "full_name", "session_id", "conversation_id", "source", "team")


def claims(raw: str) -> tuple[str, ...]:
    """Which field of an identity is which claim of a token."""
    pairs: list[str] = []
    for word in names(raw):
        if word == "standard":
            pairs += _STANDARD_CLAIMS
            continue
        field, _, claim = map(str.strip, word.partition("="))
        if field not in _IDENTITY_FIELDS or not claim:
            raise ValueError(f"{word!r} is no claim; write field=claim with one of {', '.join(_IDENTITY_FIELDS)}")
        pairs.append(f"{field}={claim}")
    return tuple(pairs)


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
