"""Which names name a secret: of attributes, of members of JSON objects, and of what stands before `=` or `:` in a text.

One rule for all of them, so that a form which is known in one place is known everywhere.
"""

import re
from itertools import pairwise
from typing import Final, Literal

Secrecy = Literal["secret", "token"]

#: No name without one of these names a secret. In lower case.
STEMS: Final = (
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "auth",
    "cookie",
    "credential",
    "jwt",
    "otp",
    "cvv",
    "cvc",
    "bearer",
    "card",
    "connection",
    "signature",
)
_STEM: Final = re.compile("|".join(STEMS))
_LONGEST: Final = 256
_WORDS: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_KEYS: Final = "api access private signing encryption secret account auth ssh master".split()
#: The end of a word: `password`, `userpassword`, `passwords`, `password1`.
_SECRET_END: Final = re.compile(
    "(?:password|passwd|passphrase|passcode|pwd|secret|credential|authorization|cookie"
    f"|(?:{'|'.join(_KEYS)})key)s?[0-9]*\\Z"
)
_SECRET_WORD: Final = re.compile("(?:db|my|smtp|user)pass[0-9]*|cvv2?|cvc2?|bearer|jwts?|t?otp")
#: Words that only together name a secret.
_PAIRS: Final = frozenset(
    {
        *((first, second) for first in _KEYS for second in ("key", "keys")),
        *((first, "pass") for first in ("db", "smtp", "user")),
        ("card", "number"),
        ("card", "numbers"),
        ("connection", "string"),
        ("amz", "signature"),
        ("goog", "signature"),
    }
)
_TOKEN_OF: Final = frozenset("access api auth bearer csrf id personal refresh secret security session xsrf".split())
_TOKEN_END: Final = re.compile(f"token[0-9]*\\Z|(?:{'|'.join(sorted(_TOKEN_OF))})tokens[0-9]*\\Z")


def secrecy(name: str) -> Secrecy | None:
    """What a name says of its value: a secret, a token (unless the value is a number, which counts tokens), or nothing.

    Of a very long name only the end is looked at.
    """
    name = name[-_LONGEST:]
    if not _STEM.search(name.lower()):
        return None
    words = [word.lower() for word in _WORDS.findall(name)]
    pairs = list(pairwise(words))
    if any(_SECRET_END.search(word) or _SECRET_WORD.fullmatch(word) for word in words) or not _PAIRS.isdisjoint(pairs):
        return "secret"
    if any(_TOKEN_END.search(word) for word in words):
        return "token"
    return "token" if any(second == "tokens" and first in _TOKEN_OF for first, second in pairs) else None
