"""The words of a text as the archive's index keeps them, and as a search must ask for them.

Made here and not by Postgres: its dictionaries know no Chinese, Japanese or Korean, which are indexed by pairs of
letters, and the same text must give the same words on every server.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

MAX_TERM: Final = 64
MAX_TERMS: Final = 1_000
_WRITTEN_WITHOUT_SPACES: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
#: `list_snapshots`, `qa-mcp` and `10.0.0.1` are found whole and by their parts.
_WORD: Final = re.compile(r"[^\W_]+(?:[_.@:-][^\W_]+)*")
_PART: Final = re.compile(rf"[{_WRITTEN_WITHOUT_SPACES}]+|[^\W_{_WRITTEN_WITHOUT_SPACES}]+")
_PAIRS: Final = re.compile(rf"[{_WRITTEN_WITHOUT_SPACES}]+")


def index_terms(texts: Iterable[str]) -> list[str]:
    """Every term of the texts once, in order of appearance, bounded."""
    found: dict[str, None] = {}
    for text in texts:
        for word in _WORD.findall(_folded(text)):
            if word not in found:
                found.update(dict.fromkeys(_indexed(word)))
        if len(found) >= MAX_TERMS:
            break
    return list(found)[:MAX_TERMS]


def tsvector(terms: Iterable[str]) -> str:
    """The terms as a literal of Postgres's type `tsvector`."""
    return " ".join(map(_quoted, terms))


def tsquery(text: str) -> str | None:
    """A literal of type `tsquery` that finds texts with all words of `text`, the last one by its beginning; None when
    there is no word in it."""
    terms = [term for word in _WORD.findall(_folded(text)) for term in _asked(word)]
    if not terms:
        return None
    return " & ".join([*map(_quoted, terms[:-1]), _quoted(terms[-1]) + ":*"])


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _indexed(word: str) -> Iterator[str]:
    yield word[:MAX_TERM]
    for part in _PART.findall(word):
        if _PAIRS.match(part) and len(part) > 2:
            yield from (part[at : at + 2] for at in range(len(part) - 1))
        elif part != word:
            yield part[:MAX_TERM]


def _asked(word: str) -> Iterator[str]:
    parts = _PART.findall(word)
    if not any(_PAIRS.match(part) for part in parts):
        yield word[:MAX_TERM]
        return
    for part in parts:
        if _PAIRS.match(part) and len(part) > 2:
            yield from (part[at : at + 2] for at in range(len(part) - 1))
        else:
            yield part[:MAX_TERM]


def _quoted(term: str) -> str:
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "'"
