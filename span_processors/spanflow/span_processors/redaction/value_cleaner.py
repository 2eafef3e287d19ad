"""Takes secrets and content out of nested values, within a budget: one span's values may cost only so much."""

import hashlib
import re
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final, Literal, Protocol

from spanflow.span_processors.metadata_names import is_number
from spanflow.span_processors.redaction.assignments import HIDDEN
from spanflow.span_processors.redaction.secret_names import secrecy

ContentPolicy = Literal["full", "hash", "off"]
#: What becomes of a value, by its key: it stays whatever it says; it is searched; it stays if it is a number and is
#: content otherwise; it is content; it is hidden unless it is a number; it is hidden; its key holds a secret itself.
Verdict = Literal["kept", "plain", "count", "content", "token", "secret", "renamed"]

#: A text up to this length costs next to nothing, so that it is searched whatever the budget.
SHORT: Final = 256
#: A secret may straddle the cut, so this much more is searched before a long text is shortened.
OVERLAP: Final = 512
_TOO_DEEP: Final = "[nested too deep]"
_FINGERPRINT: Final = re.compile(r"sha256:[0-9a-f]{16} \(\d{1,12} characters\)")


class Rules(Protocol):
    """What a `Redactor` knows."""

    content: ContentPolicy
    max_length: int
    max_depth: int

    def verdict(self, key: str, nested: bool) -> Verdict: ...
    def text(self, value: str, limit: int | None = None) -> tuple[str, int]: ...


class ValueCleaner:
    """For the values of one set of attributes. `hidden` counts what was hidden.

    `content=False` takes out secrets only: for what was recorded on purpose, and for JSON inside of texts.
    """

    def __init__(self, rules: Rules, *, characters: int, items: int, content: bool = True) -> None:
        self.hidden = 0
        self._rules = rules
        self._characters = characters
        self._items = items
        self._content = content

    def attribute(self, key: str, value: Any, depth: int = 0) -> Any:
        """The value as it may be seen; the same object when nothing had to change. None leaves the attribute out."""
        verdict = self._rules.verdict(key, depth > 0 and self._content)
        if isinstance(value, str):
            value = _plain(value)
        if verdict == "kept" or value is None or (type(value) is str and value == HIDDEN):
            return value
        if verdict == "count":
            verdict = "plain" if is_number(value) else "content"
        if verdict == "token" and isinstance(value, int | float):
            return value  # a number of tokens, not a token
        if verdict == "secret" or verdict == "token":
            self.hidden += 1
            return HIDDEN
        if verdict == "content" and self._content:
            return self.said(value)
        return self.value(value, depth)

    def said(self, value: Any) -> Any:
        """Content, as the policy allows it."""
        policy = self._rules.content
        if policy == "full":
            return self.value(value)
        if policy == "hash" and isinstance(value, str) and _FINGERPRINT.fullmatch(value):
            return value
        self.hidden += 1
        if policy == "off":
            return None
        shown = value if isinstance(value, str) else repr(self.value(value))
        read = shown[: self._spend(len(shown))]
        digest = hashlib.sha256(read.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return f"sha256:{digest} ({len(shown)} characters)"

    def value(self, value: Any, depth: int = 0) -> Any:
        if isinstance(value, str):
            return self._text(_plain(value))
        if value is None or isinstance(value, bool | int | float):
            return value
        self._items -= 1
        if depth >= self._rules.max_depth:
            return _TOO_DEEP
        if isinstance(value, Mapping):
            return self._mapping(value, depth + 1)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._bytes(value)
        if isinstance(value, Sequence | Set):
            return self._sequence(value, depth + 1)
        return self._text(_described(value))

    def _text(self, value: str) -> str:
        clean, hidden = self._rules.text(value, self._spend(len(value)))
        self.hidden += hidden
        return value if clean == value else clean

    def _spend(self, length: int) -> int:
        """How much of a text of this length is read."""
        limit = min(self._rules.max_length, max(SHORT, self._characters))
        self._characters -= min(length, limit)
        return limit

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Any:
        clean: dict[str, Any] = {}
        changed = False
        for key, item in value.items():
            if self._items <= 0 or self._characters <= 0:
                changed = True
                break
            self._items -= 1
            key = _plain(key) if isinstance(key, str) else _described(key)
            name = self._text(key)
            kept = self.attribute(name, item, depth)
            changed = changed or kept is not item or name is not key
            if kept is not None or item is None:
                clean[name] = kept
        return clean if changed or type(value) is not dict else value

    def _sequence(self, value: Sequence[Any] | Set[Any], depth: int) -> Any:
        changed = False
        clean: list[Any] = []
        before: Any = None
        for item in value:
            if self._items <= 0 or self._characters <= 0:
                changed = True
                break
            self._items -= 1
            if type(item) is str and _is_option(before) and not item.startswith("-") and item != HIDDEN:
                kept: Any = HIDDEN
                self.hidden += 1
            else:
                kept = self.value(item, depth)
            changed = changed or kept is not item
            clean.append(kept)
            before = item
        return clean if changed else value

    def _bytes(self, value: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview | str:
        """Bytes that are a text with a secret become that text without it; others are only shortened."""
        limit = self._spend(len(value))
        read = bytes(value[: limit + OVERLAP])
        clean, hidden = self._rules.text(read.decode("utf-8", "replace"), limit)
        self.hidden += hidden
        if hidden:
            return clean
        return value if len(value) <= limit else read[:limit]


def _is_option(value: Any) -> bool:
    """`--password` among the arguments of a command: the secret is the next one."""
    return type(value) is str and value.startswith("-") and "=" not in value and secrecy(value) is not None


def _plain(value: str) -> str:
    """The text itself; a class of its own may say anything of it, and may raise."""
    return value if type(value) is str else str.__str__(value)


def _described(value: object) -> str:
    try:
        return str(value)
    except Exception:  # the application's own __str__ may do anything
        return f"<{type(value).__name__}>"
