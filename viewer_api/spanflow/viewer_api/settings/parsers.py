"""How the text of variables that only the viewer has becomes a value."""

import re
from ipaddress import ip_network

from spanflow.span_processors.setting_parsers import Parser, names


def mapping(*meanings: str) -> Parser:
    """`word=meaning` pairs, separated by commas; words are compared without regard to case."""

    def parse(raw: str) -> tuple[tuple[str, str], ...]:
        pairs: dict[str, str] = {}
        for part in names(raw):
            word, _, meaning = (half.strip() for half in part.partition("="))
            if not word or meaning not in meanings:
                raise ValueError(f"{part!r} is no pair; write word=meaning, with one of {', '.join(meanings)}")
            if pairs.setdefault(word.casefold(), meaning) != meaning:
                raise ValueError(f"{word!r} has two meanings")
        return tuple(pairs.items())

    return parse


def origins(raw: str) -> tuple[str, ...]:
    """Origins as they stand in a Content-Security-Policy: a scheme, a host and perhaps a port, or `self`."""
    values = names(raw)
    for origin in values:
        if origin != "self" and not re.fullmatch(r"https?://(\*\.)?[A-Za-z0-9.-]+(:[0-9]{1,5})?", origin):
            raise ValueError(f"{origin!r} is no origin; write https://portal.example.com, or self")
    return values


def networks(raw: str) -> tuple[str, ...]:
    """Addresses, and networks such as 10.0.0.0/8."""
    values = names(raw)
    for each in values:
        try:
            ip_network(each, strict=False)
        except ValueError:
            raise ValueError(f"{each!r} is no address or network; write 10.1.0.0/16 or 192.0.2.7") from None
    return values


def folder(raw: str) -> str:
    """The path of a folder in an address, without a slash at its end."""
    path = raw.strip().rstrip("/")
    if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        raise ValueError("write it like /tools/spanflow: letters, digits and . _ ~ - between slashes")
    return path


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
    """`id=…, email=…, full_name=…`, or just the columns in this order → the three columns; what is not named is called
    so, an empty name is none."""
    columns = {"id": "id", "email": "email", "full_name": "full_name"}
    given = names(raw)
    if len(given) <= len(columns) and not any("=" in column for column in given):
        given = tuple(f"{what}={column}" for what, column in zip(columns, given, strict=False))
    for pair in given:
        what, sign, column = (part.strip() for part in pair.partition("="))
        if what not in columns or not sign or (column and not re.fullmatch(_SQL_NAME, column)):
            raise ValueError("write id=column, email=column, full_name=column, separated by commas")
        columns[what] = _stored_name(column)
    if not columns["id"]:
        raise ValueError("name a column for id")
    return columns["id"], columns["email"], columns["full_name"]


def trace_url(raw: str) -> str:
    """An address of a page about one trace, with `{trace_id}` where its id stands."""
    text = raw.strip()
    if text and not (re.fullmatch(r"https?://[^\s{}]+\{trace_id\}[^\s{}]*", text) and text.isprintable()):
        raise ValueError("write an address with {trace_id} once, such as https://jaeger.example.org/trace/{trace_id}")
    return text
