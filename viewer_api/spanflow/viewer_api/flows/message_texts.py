"""What was asked and what was answered, as the spans of a flow recorded it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from spanflow.span_processors import names

#: The longest text that a preview shows.
MAX_PREVIEW: Final = 240
_DATA: Final = names.ATTR_DATA_PREFIX
#: Attributes that hold it, the most telling first; what other instrumentations write is among them.
ASKED: Final = (
    "gen_ai.input.messages",
    *(_DATA + word for word in ("message", "question", "prompt")),
    "input.value",
    "gen_ai.prompt.0.content",
)
ANSWERED: Final = (
    "gen_ai.output.messages",
    *(_DATA + word for word in ("answer", "response")),
    "output.value",
    "gen_ai.completion.0.content",
)


def preview(text: str | None) -> str | None:
    """The first words of a text on one line; None when there are none."""
    if text is None:
        return None
    # Only the beginning is taken apart, however long the text is.
    line = " ".join(text[: 4 * MAX_PREVIEW].split())
    if len(line) > MAX_PREVIEW or len(text) > 4 * MAX_PREVIEW:
        line = line[: MAX_PREVIEW - 1].rstrip() + "…"
    return line or None


def asked_in(entries: Iterable[object]) -> str | None:
    """The text of the first span that says what was asked."""
    return next((text for entry in entries if (text := _first(entry, ASKED, "user")) is not None), None)


def answered_in(entries: Iterable[object]) -> str | None:
    """The text of the last span that says what was answered."""
    texts = [text for entry in entries if (text := _first(entry, ANSWERED, "assistant")) is not None]
    return texts[-1] if texts else None


def _first(entry: object, keys: Iterable[str], role: str) -> str | None:
    attributes = entry.get("attributes") if isinstance(entry, Mapping) else None
    if not isinstance(attributes, Mapping):
        return None
    texts = (_text(attributes.get(key), role) for key in keys)
    return next((text for text in texts if text), None)


def _text(value: Any, role: str) -> str | None:
    """A plain text, or the last text that this role said in a list of messages, which may be encoded as JSON."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return _in_messages(orjson.loads(value), role)
        except orjson.JSONDecodeError:
            return value.strip()
    return _in_messages(value, role)


def _in_messages(value: Any, role: str) -> str | None:
    if isinstance(value, str):
        return value.strip()
    messages = value if isinstance(value, list) else [value]
    of_role = [message for message in messages if isinstance(message, Mapping) and message.get("role", role) == role]
    for message in reversed(of_role):
        text = _of_message(message)
        if text:
            return text
    return None


def _of_message(message: Mapping[str, Any]) -> str:
    """Its text: `content` as it is or in pieces, or the text parts of `parts`."""
    content = message.get("content", message.get("parts"))
    if isinstance(content, str):
        return str(content).strip()
    pieces = content if isinstance(content, list) else []
    texts = [piece.get("text", piece.get("content")) if isinstance(piece, Mapping) else piece for piece in pieces]
    return " ".join([text for text in texts if isinstance(text, str)]).strip()
