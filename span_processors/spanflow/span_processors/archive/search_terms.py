"""The words of a text as the archive's index keeps them, and as a search must ask for them.

Made here and not by Postgres: its dictionaries know no Chinese, Japanese, Korean or Thai, which are indexed by pairs of
letters, and the same text must give the same words on every server. Vowel points of Hebrew and Arabic are left out, as
people write with and without them; an emoji is a word of its own.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from spanflow.span_processors.event.event import Event

#: Begins the key of a step among the terms. No word begins so, so that no search for words finds one.
STEP_SIGN: Final = "="
MAX_TERM: Final = 64
MAX_TERMS: Final = 1_000
_SHORT: Final = 48
#: Characters of one flow that are looked at.
MAX_TEXT: Final = 200_000
#: Of longer values only the beginning is searchable.
_SEARCHED: Final = 2000
_NO_ATTRIBUTES: Final[dict[str, Any]] = {}
_WRITTEN_WITHOUT_SPACES: Final = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e80-\u0ece\u1000-\u1049\u1780-\u17d3"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
#: Signs that belong to the letter before them, which Python does not count among letters.
_SIGNS: Final = "\u0300-\u036f\u0900-\u0963\u0966-\u0e3a\u0e40-\u0e4e\u0e80-\u109f\u1780-\u17d3"
_POINTS: Final = re.compile(
    "[\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\ufe0e\ufe0f]"
)
_PICTURES: Final = "\u2600-\u27bf\u2b00-\u2bff\U0001f1e6-\U0001faff"
#: `list_snapshots`, `qa-mcp` and `10.0.0.1` are found whole and by their parts.
_WORD: Final = re.compile(rf"[{_PICTURES}]|(?:[^\W_]|[{_SIGNS}])+(?:[_.@:-](?:[^\W_]|[{_SIGNS}])+)*")
_PART: Final = re.compile(rf"[{_WRITTEN_WITHOUT_SPACES}]+|[^\W_{_WRITTEN_WITHOUT_SPACES}]+|[^_.@:-]")
_JOINTS: Final = "_.@:-"
_APART: Final = str.maketrans(_JOINTS, " " * len(_JOINTS))
#: Most texts are ASCII: lower case, and a space for whatever stands in no word.
_ASCII_WORDS: Final = bytes(
    ord(char.lower()) if char.isascii() and (char.isalnum() or char in _JOINTS) else 32 for char in map(chr, range(256))
)
_PAIRS: Final = re.compile(rf"[{_WRITTEN_WITHOUT_SPACES}]+")


def searched_texts(events: Iterable[Event]) -> Iterable[str]:
    """What a person may look for, once each: names, messages and the texts among the attributes."""
    texts: dict[str, None] = {}
    for event in events:
        texts[event.get("name", "")] = None
        if message := event.get("status_message"):
            texts[message[:_SEARCHED]] = None
        for value in event.get("attributes", _NO_ATTRIBUTES).values():
            if type(value) is str:
                texts[value if len(value) <= _SHORT else value[:_SEARCHED]] = None
            elif type(value) is list:
                texts.update((member[:_SEARCHED], None) for member in value if isinstance(member, str))
    return texts


def index_terms(texts: Iterable[str]) -> list[str]:
    """Every term of the texts once, bounded."""
    terms: dict[str, None] = {}
    long: list[str] = []
    for text in dict.fromkeys(texts):
        if len(text) <= _SHORT:
            terms.update(_terms_of_short(text))
        else:
            long.append(text)
    if long:
        terms.update(_terms("\n".join(long)[:MAX_TEXT]))
    return list(terms)[:MAX_TERMS]


@lru_cache(maxsize=8192)
def _terms_of_short(text: str) -> dict[str, None]:
    """Names of steps, tools and models come again all day."""
    return _terms(text)


def _terms(text: str) -> dict[str, None]:
    terms: dict[str, None] = {}
    if text.isascii():
        words = dict.fromkeys(text.encode().translate(_ASCII_WORDS).decode().split())
        if "".join(words).isalnum() and max(map(len, words)) <= MAX_TERM:
            return words
        for word in words:
            if word.isalnum():
                terms[word[:MAX_TERM]] = None
            elif word := word.strip(_JOINTS):
                terms[word[:MAX_TERM]] = None
                terms.update(dict.fromkeys(part[:MAX_TERM] for part in word.translate(_APART).split()))
    else:
        for word in dict.fromkeys(_WORD.findall(_folded(text))):
            terms[word[:MAX_TERM]] = None
            terms.update(dict.fromkeys(_pairs(word)))
            # A single letter is asked for as a beginning, and the last one begins no pair.
            terms.update((run[-1], None) for run in _PAIRS.findall(word))
    return terms


def tsvector(terms: Iterable[str], steps: Iterable[str] = ()) -> str:
    """A literal of Postgres's type `tsvector`. No letter of a term needs to be escaped there; keys of steps are texts
    of any kind."""
    inner = "' '".join([*terms, *(_escaped(STEP_SIGN + key) for key in steps)])
    return f"'{inner}'" if inner else ""


def steps_query(keys: Iterable[str]) -> str:
    """A literal of type `tsquery` that finds flows with any of these steps."""
    return " | ".join(f"'{_escaped(STEP_SIGN + key)}'" for key in keys)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "''") if "'" in text or "\\" in text else text


def tsquery(text: str) -> str | None:
    """A literal of type `tsquery` that finds texts with all words of `text`, the last one by its beginning; None when
    there is no word in it."""
    terms = [term for word in _WORD.findall(_folded(text)) for term in _asked(word)]
    if not terms:
        return None
    return " & ".join([*map(_quoted, terms[:-1]), _quoted(terms[-1]) + ":*"])


def found_in(text: str, terms: Iterable[str]) -> bool:
    """Whether `tsquery(text)` would find something with these terms."""
    words = [term for word in _WORD.findall(_folded(text)) for term in _asked(word)]
    indexed = set(terms)
    return not words or (indexed.issuperset(words[:-1]) and any(term.startswith(words[-1]) for term in indexed))


def _folded(text: str) -> str:
    return _POINTS.sub("", unicodedata.normalize("NFKC", text).casefold())


def _pairs(word: str) -> Iterator[str]:
    for part in _PART.findall(word):
        if _PAIRS.match(part) and len(part) > 2:
            yield from (part[at : at + 2] for at in range(len(part) - 1))
        else:
            yield part[:MAX_TERM]


def _asked(word: str) -> Iterable[str]:
    return _pairs(word) if _PAIRS.search(word) else [word[:MAX_TERM]]


def _quoted(term: str) -> str:
    return f"'{term}'"
