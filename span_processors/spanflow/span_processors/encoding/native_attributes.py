"""What the native core makes of attributes. Twin of `clean_attributes.py`, which is asked for whatever this is not
certain about: `native/engine/src/attributes.rs` says what that is.
"""

from collections.abc import Mapping
from typing import Any, Final

from spanflow.span_processors.native import NativeCore
from spanflow.span_processors.redaction.redaction import Redactor

#: JSON, `types` as JSON (empty where there are none), a mapping with the names in that JSON, and how many values were
#: hidden.
NativeClean = tuple[bytes, bytes, Mapping[str, Any], int]

_UNLIMITED: Final = 2**62


class NativeAttributes:
    """Attributes in one call of the core. Used by the encoder's thread only."""

    def __init__(self, core: NativeCore, redactor: Redactor) -> None:
        self._redactor = redactor
        policy = redactor.policy
        self._encode = core.attribute_encoder(
            redactor.verdict,
            policy.content,
            policy.hide_emails,
            [key.lower() for key in policy.secret_keys],
            policy.max_length,
            policy.max_depth,
            policy.max_items,
        )

    def __call__(self, attributes: Mapping[str, Any]) -> NativeClean | None:
        """The attributes as they may be seen; None where Python decides."""
        budget = self._redactor.budget
        done = self._encode(attributes, _UNLIMITED if budget is None else max(0, budget.left))
        if done is None:
            return None
        written, types, removed, hidden, spent = done
        if spent and budget is not None:
            budget.left -= spent
        if removed:
            attributes = {key: value for key, value in attributes.items() if key not in removed}
        return written, types, attributes, hidden
