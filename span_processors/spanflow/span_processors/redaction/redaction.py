"""The one function that keeps secrets out of Redis, Pub/Sub, Postgres and OTLP alike.

Two questions are asked of every attribute: does its *key* name a secret, and does its *value* look like one. Answers
are remembered by key and by value, because a gateway sends the same few hundred keys and values all day.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

from spanflow.span_processors.names import (
    ATTR_CONVERSATION_ID,
    ATTR_DATA_PREFIX,
    ATTR_FLOW_SESSION_ID,
    ATTR_SESSION_ID,
    ATTR_USER_EMAIL,
    ATTR_USER_FULL_NAME,
    ATTR_USER_ID,
    SESSION_ID_ALIASES,
    USER_EMAIL_ALIASES,
    USER_ID_ALIASES,
)
from spanflow.span_processors.redaction.secret_patterns import EMAIL, hide_secrets
from spanflow.span_processors.settings import Settings

ContentPolicy = Literal["full", "hash", "off"]

REDACTED: Final = "[redacted]"
_CUT_MARK: Final = "… [{} more characters]"
#: A secret may straddle the cut, so this much more is searched before a long text is shortened.
_OVERLAP: Final = 512
_REMEMBERED: Final = 4096
#: Longer texts are rarely seen twice; remembering them would only cost memory.
_REMEMBERED_LENGTH: Final = 256

#: Who the flow belongs to is what Spanflow is for; these are never taken for secrets.
_NEVER_SECRET: Final = frozenset(
    {
        ATTR_USER_ID,
        ATTR_USER_EMAIL,
        ATTR_USER_FULL_NAME,
        ATTR_SESSION_ID,
        ATTR_CONVERSATION_ID,
        ATTR_FLOW_SESSION_ID,
        "gen_ai.token.type",
    }
)

#: Other gateways' names for the same; LiteLLM's contain `api_key`.
_IDENTITY_ALIASES: Final = frozenset({*USER_ID_ALIASES, *USER_EMAIL_ALIASES, *SESSION_ID_ALIASES})

#: Attributes that carry what people and models said.
CONTENT_KEYS: Final = frozenset(
    {
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.prompt",
        "gen_ai.completion",
        "input.value",
        "output.value",
        "traceloop.entity.input",
        "traceloop.entity.output",
        *(
            ATTR_DATA_PREFIX + word
            for word in (
                "arguments",
                "completion",
                "content",
                "input",
                "message",
                "messages",
                "output",
                "parameters",
                "prompt",
                "query",
                "response",
                "result",
            )
        ),
    }
)
_CONTENT_PREFIXES: Final = ("gen_ai.prompt.", "gen_ai.completion.", "llm.input_messages.", "llm.output_messages.")

_WORDS: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_SECRET_WORDS: Final = frozenset(
    "password passwd passphrase pwd secret secrets credential credentials authorization cookie cookies apikey "
    "privatekey accesskey cvv cvc bearer jwt".split()
)
_SECRET_PAIRS: Final = frozenset(
    {
        ("api", "key"),
        ("access", "key"),
        ("private", "key"),
        ("signing", "key"),
        ("encryption", "key"),
        ("set", "cookie"),
        ("card", "number"),
    }
)


@dataclass(frozen=True, slots=True)
class RedactionPolicy:
    """What counts as a secret here, and what happens to content."""

    content: ContentPolicy = "off"
    hide_emails: bool = False
    secret_keys: tuple[str, ...] = ()
    kept_keys: tuple[str, ...] = ()
    max_length: int = 8192
    max_depth: int = 16
    max_items: int = 1000

    @classmethod
    def from_settings(cls, settings: Settings) -> "RedactionPolicy":
        content = settings.content
        return cls(
            content="full" if content == "full" else "hash" if content == "hash" else "off",
            hide_emails=settings.redact_emails,
            secret_keys=settings.redact_keys,
            kept_keys=settings.redact_keep_keys,
            max_length=settings.max_value_length,
        )


class Redactor:
    """Applies one policy. Safe to share between threads: what it remembers is only ever replaced whole."""

    def __init__(self, policy: RedactionPolicy | None = None) -> None:
        self._policy = policy or RedactionPolicy()
        self._secret_keys = frozenset(key.lower() for key in self._policy.secret_keys)
        self._kept_keys = frozenset(key.lower() for key in self._policy.kept_keys) | _NEVER_SECRET
        self._key_verdicts: dict[str, str] = {}
        self._clean_texts: dict[str, tuple[str, int]] = {}

    def attributes(self, attributes: Mapping[str, Any]) -> tuple[Mapping[str, Any], int]:
        """The attributes without secrets, and how many were hidden. The same object when nothing had to change."""
        changed: dict[str, Any] | None = None
        hidden = 0
        for key, value in attributes.items():
            clean, count = self._attribute(key, value, 0)
            hidden += count
            if clean is not value:
                if changed is None:
                    changed = dict(attributes)
                if clean is None:
                    del changed[key]
                else:
                    changed[key] = clean
        return (attributes if changed is None else changed), hidden

    def keeps(self, key: str) -> bool:
        """Whether an attribute's value stays as it is, whatever it says."""
        return (self._key_verdicts.get(key) or self._judge(key)) == "kept"

    def text(self, value: str) -> tuple[str, int]:
        """A free text (status, exception message, span name) without secrets, and how many were hidden."""
        known = self._clean_texts.get(value)
        if known is None:
            known = self._search(value)
            if len(value) <= _REMEMBERED_LENGTH:
                if len(self._clean_texts) >= _REMEMBERED:
                    self._clean_texts = {}
                self._clean_texts[value] = known
        return known

    def _attribute(self, key: str, value: Any, depth: int) -> tuple[Any, int]:
        verdict = self._key_verdicts.get(key) or self._judge(key)
        if verdict == "plain":
            return self._value(value, depth)
        if verdict == "kept" or value is None or value == REDACTED:
            return value, 0
        if verdict == "content":
            return self._content(value, depth)
        if verdict == "token" and isinstance(value, int | float):
            return value, 0  # a number of tokens, not a token
        return REDACTED, 1

    def _value(self, value: Any, depth: int) -> tuple[Any, int]:
        if type(value) is str:
            clean, count = self.text(value)
            return (value, 0) if clean == value else (clean, count)
        if isinstance(value, bool | int | float) or value is None:
            return value, 0
        if isinstance(value, Mapping):
            return self._mapping(value, depth + 1)
        if isinstance(value, bytes):
            return self._bytes(value)
        if isinstance(value, Sequence):
            return self._sequence(value, depth + 1)
        return value, 0

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> tuple[Any, int]:
        if depth > self._policy.max_depth:
            return "[nested too deep]", 0
        clean: dict[str, Any] = {}
        hidden = 0
        changed = False
        for position, (key, item) in enumerate(value.items()):
            if position >= self._policy.max_items:
                changed = True
                break
            name, in_name = self.text(str(key))
            kept, in_item = self._attribute(str(key), item, depth)
            hidden += in_name + in_item
            changed = changed or kept is not item or name != key
            if kept is not None or item is None:
                clean[name] = kept
        return (clean, hidden) if changed else (value, 0)

    def _bytes(self, value: bytes) -> tuple[bytes | str, int]:
        """Bytes that are a text with a secret become that text without it; others are only shortened."""
        head = value[: self._policy.max_length]
        clean, hidden = self.text(head.decode("utf-8", "replace"))
        if hidden:
            return clean, hidden
        return (value, 0) if len(head) == len(value) else (head, 0)

    def _sequence(self, value: Sequence[Any], depth: int) -> tuple[Any, int]:
        if depth > self._policy.max_depth:
            return "[nested too deep]", 0
        hidden = 0
        changed = len(value) > self._policy.max_items
        clean = []
        for item in value[: self._policy.max_items]:
            kept, count = self._value(item, depth)
            hidden += count
            changed = changed or kept is not item
            clean.append(kept)
        return (clean, hidden) if changed else (value, 0)

    def _content(self, value: Any, depth: int) -> tuple[Any, int]:
        if self._policy.content == "full":
            return self._value(value, depth)
        if self._policy.content == "off":
            return None, 1
        shown = value if isinstance(value, str) else repr(value)
        if shown.startswith("sha256:"):
            return value, 0
        digest = hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return f"sha256:{digest} ({len(shown)} characters)", 1

    def _search(self, value: str) -> tuple[str, int]:
        limit = self._policy.max_length
        clean, hidden = hide_secrets(value if len(value) <= limit else value[: limit + _OVERLAP])
        if self._policy.hide_emails and "@" in clean:
            clean, emails = EMAIL.subn(REDACTED, clean)
            hidden += emails
        if len(value) > limit and "more characters]" not in value[-32:]:
            clean = clean[:limit] + _CUT_MARK.format(len(value) - limit)
        return clean, hidden

    def _judge(self, key: str) -> str:
        verdict = self._verdict(key)
        if len(self._key_verdicts) >= _REMEMBERED:
            self._key_verdicts = {}
        self._key_verdicts[key] = verdict
        return verdict

    def _verdict(self, key: str) -> str:
        lower = key.lower()
        if lower in self._kept_keys:
            return "kept"
        if lower in _IDENTITY_ALIASES:
            return "plain"  # the key's name is no reason; a text that looks like a secret still is one
        if lower in self._secret_keys or lower.rsplit(".", 1)[-1] in self._secret_keys:
            return "secret"
        words = [word.lower() for word in _WORDS.findall(key)]
        if not _SECRET_WORDS.isdisjoint(words) or any(pair in _SECRET_PAIRS for pair in pairwise(words)):
            return "secret"
        if "token" in words:
            return "token"
        if lower in CONTENT_KEYS or lower.startswith(_CONTENT_PREFIXES):
            return "content"
        return "plain"
