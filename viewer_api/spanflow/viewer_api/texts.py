"""Texts as clients write them into filters."""


def plain(text: str) -> str:
    """As Postgres can compare it: it knows no NUL."""
    return text.replace("\0", "")


def filter_text(text: str | None) -> str | None:
    """What a filter asks for; an empty text asks for nothing."""
    return plain(text) or None if text else None
