"""What a secret looks like inside a text.

Every pattern runs in time linear to the text: request data is attacker-controlled, and it is searched on busy threads.
"""

import re
from typing import Final

HIDDEN: Final = "[redacted]"

EMAIL: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")

#: Credentials with a telling beginning. No alternative starts with a wildcard, so that a scan skips ahead quickly.
_TELLING: Final = re.compile(
    r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"  # JSON web token
    r"|sk-[A-Za-z0-9_-]{16,}|[sr]k_(?:live|test)_[A-Za-z0-9]{10,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|A(?:KI|SI)A[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}"
    r"|hf_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_-]{20,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[A-Za-z0-9+/=\s]*(?:-----END [A-Z ]{0,32}PRIVATE KEY-----)?"
)
_SCHEME: Final = re.compile(r"\b(Bearer|Basic|Digest)(\s{1,8})(?!\[redacted\])[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
#: `password=hunter2`, `"api_key": "abc"`, `token: 'x y'`: the key stays, the value goes.
_ASSIGNED: Final = re.compile(
    r"(?P<key>(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|authorization|cookie|credentials?)(?P<quote>\\?[\"']?)\s{0,8}[:=]\s{0,8})"
    r"(?!\[redacted\]|[\"']\[redacted\])"
    r"(?:\\?\"[^\"\\]{1,4096}\\?\"|'[^']{1,4096}'|[^\s\"'&,;<>(){}\[\]]+)",
    re.IGNORECASE,
)
_URL_LOGIN: Final = re.compile(r"://(?!\[redacted\])[^/\s:@]{0,256}:[^/\s@]{1,256}@")
_CARD: Final = re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d.-])")


def hide_secrets(text: str) -> tuple[str, int]:
    """The text with every secret replaced, and how many there were."""
    if len(text) < 8:
        return text, 0
    text, hidden = _TELLING.subn(HIDDEN, text)
    if " " in text:
        text, count = _SCHEME.subn(rf"\1\2{HIDDEN}", text)
        hidden += count
    if ":" in text or "=" in text:
        text, count = _ASSIGNED.subn(rf"\g<key>{HIDDEN}", text)
        hidden += count
        text, count = _URL_LOGIN.subn(f"://{HIDDEN}@", text)
        hidden += count
    cards = 0

    def card(match: re.Match[str]) -> str:
        nonlocal cards
        if not _passes_luhn(match[0]):
            return match[0]
        cards += 1
        return HIDDEN

    if len(text) >= 13:
        text = _CARD.sub(card, text)
    return text, hidden + cards


def _passes_luhn(text: str) -> bool:
    """Whether the digits have the check digit of a payment card; order numbers and timestamps mostly do not."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
