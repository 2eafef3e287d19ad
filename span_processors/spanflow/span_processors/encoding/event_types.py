"""What spans are, as it may be shown; asked for every span, so answers are remembered."""

from collections.abc import Mapping
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.encoding.span_events import Classifier
from spanflow.span_processors.event.json_safe import safe_text
from spanflow.span_processors.redaction.redaction import Redactor

_REMEMBERED: Final = 4096
_LONGEST: Final = 64


class EventTypes:
    """Asks the classifier and makes a safe text of its answer: applications may write anything into the attribute."""

    def __init__(self, classifier: Classifier, redactor: Redactor) -> None:
        self._classify = classifier
        self._redactor = redactor
        self._shown: dict[str, str] = {}
        #: Types that spans said of themselves, which every classifier believes.
        self._believed: dict[str, str] = {}

    def of(self, name: str, attributes: Mapping[str, Any]) -> str:
        """The type of a span with this name and these attributes."""
        stated = attributes.get(names.ATTR_CHECKPOINT_TYPE)
        if type(stated) is str and (believed := self._believed.get(stated)) is not None:
            return believed
        classified = self._classify(name, attributes)
        shown = self._shown.get(classified)
        if shown is None:
            if len(self._shown) >= _REMEMBERED:
                self._shown.clear()
                self._believed.clear()
            shown = safe_text(self._redactor.text(classified)[0])[:_LONGEST] or names.PLAIN_SPAN
            self._shown[classified] = shown
        if shown == stated:
            self._believed[shown] = shown
        return shown
