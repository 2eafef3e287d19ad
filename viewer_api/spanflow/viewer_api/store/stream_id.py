"""Ids of stream entries, `<milliseconds>-<number>`: compared as numbers, not as text."""

from typing import Final

BEGINNING: Final = "0-0"


def stream_key(entry_id: str) -> tuple[int, int]:
    """Sorts entry ids as Redis does."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def is_stream_id(value: object) -> bool:
    if not isinstance(value, str) or len(value) > 41 or not value.isascii():
        return False
    milliseconds, dash, number = value.partition("-")
    return milliseconds.isdigit() and bool(dash) and number.isdigit()
