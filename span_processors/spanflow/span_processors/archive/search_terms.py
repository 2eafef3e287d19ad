"""The words of a text as the archive's index keeps them, and as a search must ask for them.

Made here and not by Postgres: its dictionaries know no Chinese, Japanese or Korean, which are indexed by pairs of
letters, and the same text must give the same words on every server.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

MAX_TERM: Final = 64
MAX_TERMS: Final = 1_000
_SHORT: Final = 48
#: Characters of one flow that are looked at.
MAX_TEXT: Final = 200_000
_WRITTEN_WITHOUT_SPACES: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
#: `list_snapshots`, `qa-mcp` and `10.0.0.1` are found whole and by their parts.
_WORD: Final = re.compile(r"[^\W_]+(?:[_.@:-][^\W_]+)*")
_PART: Final = re.compile(rf"[{_WRITTEN_WITHOUT_SPACES}]+|[^\W_{_WRITTEN_WITHOUT_SPACES}]+")
_JOINTS: Final = "_.@:-"
_APART: Final = str.maketrans(_JOINTS, " " * len(_JOINTS))
#: Most texts are ASCII: lower case, and a space for whatever stands in no word.
_ASCII_WORDS: Final = bytes(
    ord(char.lower()) if char.isascii() and (char.isalnum() or char in _JOINTS) else 32 for char in map(chr, range(256))
)
_PAIRS: Final = re.compile(rf"[{_WRITTEN_WITHOUT_SPACES}]+")


def index_terms(texts: Iterable[str]) -> list[str]:
    """Every term of the texts once, bounded."""
    found: dict[str, None] = {}
    long: list[str] = []
    for text in dict.fromkeys(texts):
        if len(text) <= _SHORT:
            found.update(_terms_of_short(text))
        else:
            long.append(text)
    if long:
        found.update(_terms("\n".join(long)[:MAX_TEXT]))
    return list(found)[:MAX_TERMS]


@lru_cache(maxsize=8192)
def _terms_of_short(text: str) -> dict[str, None]:
    """Names of steps, tools and models come again all day."""
    return _terms(text)


def _terms(text: str) -> dict[str, None]:
    found: dict[str, None] = {}
    if text.isascii():
        for word in dict.fromkeys(text.encode().translate(_ASCII_WORDS).decode().split()):
            if word.isalnum():
                found[word[:MAX_TERM]] = None
            elif word := word.strip(_JOINTS):
                found[word[:MAX_TERM]] = None
                found.update(dict.fromkeys(part[:MAX_TERM] for part in word.translate(_APART).split()))
    else:
        for word in dict.fromkeys(_WORD.findall(_folded(text))):
            found[word[:MAX_TERM]] = None
            found.update(dict.fromkeys(_pairs(word)))
    return found


def tsvector(terms: Iterable[str]) -> str:
    """The terms as a literal of Postgres's type `tsvector`. No letter of a term needs to be escaped there."""
    inner = "' '".join(terms)
    return f"'{inner}'" if inner else ""


def tsquery(text: str) -> str | None:
    """A literal of type `tsquery` that finds texts with all words of `text`, the last one by its beginning; None when
    there is no word in it."""
    terms = [term for word in _WORD.findall(_folded(text)) for term in _asked(word)]
    if not terms:
        return None
    return " & ".join([*map(_quoted, terms[:-1]), _quoted(terms[-1]) + ":*"])


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


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
