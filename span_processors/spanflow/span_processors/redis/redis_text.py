"""What Redis answers, read with care: anything may have been written there, and it costs nothing but itself."""

from typing import Final

_WRONG_TYPE: Final = "WRONGTYPE"


def text_of(raw: object) -> str:
    """A reply as text; bytes that are no UTF-8 become replacement characters."""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def is_about_one_key(error: Exception) -> bool:
    """Of what a server refuses, only this says nothing about the server: the key holds something else."""
    return str(error).startswith(_WRONG_TYPE)
