"""The one function that keeps secrets, and by policy content, out of Redis, Pub/Sub, Postgres and OTLP alike.

Three questions are asked of every attribute: does its *key* name a secret, does it hold what people and models said,
and does its *value* look like a secret. Answers are remembered by key and by value, because a gateway sends the same
few hundred keys and values all day.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from spanflow.span_processors import names, native
from spanflow.span_processors.metadata_names import COUNTS, METADATA, in_model_namespace, is_metadata, is_said
from spanflow.span_processors.redaction.assignments import HIDDEN
from spanflow.span_processors.redaction.embedded_json import replace_json
from spanflow.span_processors.redaction.secret_names import secrecy
from spanflow.span_processors.redaction.secret_patterns import EMAIL, hide_secrets, lower, may_name_secrets
from spanflow.span_processors.redaction.text_budget import TextBudget
from spanflow.span_processors.redaction.value_cleaner import OVERLAP, SHORT, ContentPolicy, ValueCleaner, Verdict
from spanflow.span_processors.settings import Settings

REDACTED: Final = HIDDEN
_CUT_MARK: Final = "… [{} more characters]"
_REMEMBERED: Final = 4096
_NUMBERS: Final = frozenset({int, float, bool})
_SCALARS: Final = _NUMBERS | {type(None)}
#: What all texts of one set of attributes may have together, as a multiple of what one may have. Then long ones are
#: shortened, so that no span takes longer than that to search.
_LONG_TEXTS: Final = 8

#: Who the flow belongs to is what Spanflow is for; these are never taken for secrets.
_NEVER_SECRET: Final = frozenset(
    {
        names.ATTR_USER_ID,
        names.ATTR_USER_EMAIL,
        names.ATTR_USER_FULL_NAME,
        names.ATTR_USER_TEAM,
        names.ATTR_SESSION_ID,
        names.ATTR_CONVERSATION_ID,
        names.ATTR_FLOW_SESSION_ID,
    }
)


@dataclass(frozen=True, slots=True)
class RedactionPolicy:
    """What counts as a secret here, and what happens to content."""

    content: ContentPolicy = "off"
    hide_emails: bool = False
    secret_keys: tuple[str, ...] = ()
    kept_keys: tuple[str, ...] = ()
    #: Attributes and words of checkpoints that hold no content, in the opinion of this deployment.
    metadata_keys: tuple[str, ...] = ()
    max_length: int = 8192
    max_depth: int = 16
    #: Members of lists and objects that all attributes of a span may have together.
    max_items: int = 4096
    #: Characters of one flow that are searched, over all its spans.
    max_flow_text: int = 4_000_000
    #: Whether the native core may tell which texts need not be searched.
    native: str = "off"

    @classmethod
    def from_settings(cls, settings: Settings) -> "RedactionPolicy":
        content = settings.content
        return cls(
            content="full" if content == "full" else "hash" if content == "hash" else "off",
            hide_emails=settings.redact_emails,
            secret_keys=settings.redact_keys,
            kept_keys=settings.redact_keep_keys,
            metadata_keys=settings.metadata_keys,
            max_length=settings.max_value_length,
            max_flow_text=settings.max_flow_text,
            native=settings.native,
        )


class Redactor:
    """Applies one policy. Safe to share between threads: what it remembers it may forget at any time."""

    def __init__(self, policy: RedactionPolicy | None = None) -> None:
        self.policy = policy or RedactionPolicy()
        self.content: ContentPolicy = self.policy.content
        self.max_length = self.policy.max_length
        self.max_depth = self.policy.max_depth
        self.max_flow_text = self.policy.max_flow_text
        self._secret_keys = frozenset(key.lower() for key in self.policy.secret_keys)
        self._kept_keys = frozenset(key.lower() for key in self.policy.kept_keys) | _NEVER_SECRET
        added = frozenset(self.policy.metadata_keys)
        self._metadata = METADATA | added | {names.ATTR_DATA_PREFIX + key for key in added if "." not in key}
        self._verdicts: dict[str, Verdict] = {}
        self._nested_verdicts: dict[str, Verdict] = {}
        #: Short texts that hold no secret.
        self._unchanged: set[str] = set()
        core = native.chosen(self.policy.native)
        self._is_clean = None if core is None else core.is_clean
        #: What may be searched for the flow that is being recorded, and how many texts were shortened because of it.
        self.budget: TextBudget | None = None
        self.over_budget = 0

    def for_flows(self) -> "Redactor":
        """The same for one thread that sets `budget` for each flow; what is remembered is shared."""
        return copy.copy(self)

    def attributes(self, attributes: Mapping[str, Any], *, content: bool = True) -> tuple[Mapping[str, Any], int]:
        """The attributes without secrets, and how many were hidden. The same object when nothing had to change.

        With `content=False` what people and models said stays.
        """
        verdicts, unchanged = self._verdicts, self._unchanged
        changed: dict[str, Any] | None = None
        cleaner: ValueCleaner | None = None
        for key, value in attributes.items():
            verdict = verdicts.get(key) or self.verdict(key)
            # Nearly all attributes are names that have been seen before, or numbers.
            if verdict == "plain":
                if type(value) in _SCALARS or (type(value) is str and len(value) <= SHORT and value in unchanged):
                    continue
            elif verdict == "kept" or ((verdict == "count" or verdict == "token") and type(value) in _NUMBERS):
                continue
            if cleaner is None:
                cleaner = self._cleaner(content=content)
            name = key
            if verdict == "renamed":
                name, hidden = self.text(key)
                cleaner.hidden += hidden
            clean = cleaner.attribute(name, value)
            if clean is not value or name is not key:
                if changed is None:
                    changed = dict(attributes)
                if name is not key or clean is None:
                    del changed[key]
                if clean is not None:
                    changed[name] = clean
        return (attributes if changed is None else changed), (0 if cleaner is None else cleaner.hidden)

    def recorded(self, data: Mapping[str, Any]) -> tuple[Mapping[str, Any], int]:
        """The same of what was recorded on purpose: content stays whatever the policy for spans."""
        return self.attributes(data, content=False)

    def event(self, name: str, attributes: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], int]:
        """The name and the attributes of a span's event.

        An event of an instrumentation of models (`gen_ai.user.message`) holds content under any name, as `content`.
        """
        shown, hidden = self.text(name)
        if self.content != "full" and in_model_namespace(name.lower() + "."):
            cleaner = self._cleaner()
            without_contents = {
                key: value if is_metadata(key, value) or key in self._metadata else cleaner.said(value)
                for key, value in attributes.items()
            }
            if cleaner.hidden:
                attributes = {key: value for key, value in without_contents.items() if value is not None}
                hidden += cleaner.hidden
        clean, count = self.attributes(attributes)
        return shown, clean, hidden + count

    def keeps(self, key: str) -> bool:
        """Whether an attribute's value stays as it is, whatever it says."""
        return self.verdict(key) == "kept"

    def text(self, value: str, limit: int | None = None) -> tuple[str, int]:
        """A free text (status, exception message, span name) without secrets, and how many were hidden.

        It is shortened to `limit` characters, where that is less than the policy's own limit.
        """
        if type(value) is not str:
            value = str.__str__(value)
        if len(value) <= SHORT and value in self._unchanged:  # a look-up reads all of a text
            return value, 0
        longest = self.max_length
        clean, hidden = self._search(value, longest if limit is None else min(limit, longest))
        if len(value) <= SHORT and not hidden and clean == value:
            if len(self._unchanged) >= _REMEMBERED:
                self._unchanged.clear()
            self._unchanged.add(clean)
        return clean, hidden

    def verdict(self, key: str, nested: bool = False) -> Verdict:
        """What becomes of a value with this key; `nested` when it is a member of an object."""
        verdicts = self._nested_verdicts if nested else self._verdicts
        verdict = verdicts.get(key)
        if verdict is None:
            verdict = self._judge(key, nested)
            if len(key) <= SHORT:
                if len(verdicts) >= _REMEMBERED:
                    verdicts.clear()
                verdicts[key] = verdict
        return verdict

    def _cleaner(self, content: bool = True) -> ValueCleaner:
        characters = _LONG_TEXTS * self.max_length
        return ValueCleaner(self, characters=characters, items=self.policy.max_items, content=content)

    def _search(self, value: str, limit: int) -> tuple[str, int]:
        marked = "more characters]" in value[-32:]
        if (budget := self.budget) is not None and len(value) > SHORT:
            if min(len(value), limit) > budget.left:
                limit, marked = SHORT, False
                self.over_budget += 1
            budget.left -= min(len(value), limit)
        clean, hidden = self._without_secrets(value if len(value) <= limit else value[: limit + OVERLAP])
        if self.policy.hide_emails and "@" in clean:
            clean, emails = EMAIL.subn(REDACTED, clean)
            hidden += emails
        if len(value) > limit and not marked:
            clean = clean[:limit] + _CUT_MARK.format(len(value) - limit)
        return clean, hidden

    def _without_secrets(self, value: str) -> tuple[str, int]:
        named_here = self._names_secrets_of_ours(value)
        if self._is_clean is not None and not named_here and self._is_clean(value):
            return value, 0
        in_json = 0
        if ("{" in value or "[" in value) and ("\\" in value or named_here or may_name_secrets(lower(value))):
            # What only the structure tells; the patterns have the rest.
            cleaner = ValueCleaner(self, characters=len(value), items=self.policy.max_items, content=False)
            value = replace_json(value, lambda parsed: _if_hidden(cleaner, parsed))
            in_json = cleaner.hidden
        clean, hidden = hide_secrets(value)
        return clean, hidden + in_json

    def _names_secrets_of_ours(self, value: str) -> bool:
        """Whether a text has one of the names that this deployment calls secret."""
        if not self._secret_keys:
            return False
        lowered = value.lower()
        return any(key in lowered for key in self._secret_keys)

    def _judge(self, key: str, nested: bool) -> Verdict:
        lower = key.lower()
        if lower in self._kept_keys:
            return "kept"
        if lower in self._secret_keys or lower.rsplit(".", 1)[-1] in self._secret_keys:
            return "secret"
        if key in self._metadata:
            return "plain"  # the key's name is no reason; a text that looks like a secret still is one
        if self.text(key)[0] != key:
            return "renamed"
        named = secrecy(key)
        if named is not None:
            return named
        if key.startswith(COUNTS):
            return "count"
        if in_model_namespace(lower) and (not nested or "." in key):
            return "content"
        ours = nested or key.startswith(names.ATTR_DATA_PREFIX)
        return "content" if ours and is_said(key.removeprefix(names.ATTR_DATA_PREFIX)) else "plain"


def _if_hidden(cleaner: ValueCleaner, parsed: Any) -> Any:
    """The value without secrets; itself when there were none, also if it is too long or too deep for us."""
    before = cleaner.hidden
    clean = cleaner.value(parsed)
    return clean if cleaner.hidden > before else parsed
