"""What a secret looks like inside a text.

Request data is attacker-controlled, and it is searched on busy threads. So every pattern runs in time linear to the
text: quantifiers are possessive or short, and no two attempts read the same run of characters (a pattern that cannot
know at its beginning whether it will match takes the whole run, and `decide` looks at it then). A test counts the
steps. Most texts hold nothing, which a look for the few words that each pattern cannot do without tells at once.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from spanflow.span_processors.redaction.assignments import HIDDEN, Hidden, assigned_secrets
from spanflow.span_processors.redaction.secret_names import STEMS, secrecy

#: A text with more secrets than this is hidden whole: it holds nothing else, or it was made to cost time.
MOST: Final = 100
_SHORTEST: Final = 8


class Pattern(NamedTuple):
    """A kind of secret."""

    #: One of these is in every text that holds such a secret.
    guards: tuple[str, ...]
    regex: re.Pattern[str]
    #: What is to stand for a match in the text; None leaves it as it is.
    decide: Callable[[re.Match[str]], str | None]


def _always(match: re.Match[str]) -> str:
    return HIDDEN


def _web_token(match: re.Match[str]) -> str | None:
    """With a header and a payload at least; without a dot it is only an encoded object."""
    header, _, rest = match[0].partition(".")
    return HIDDEN if len(header) >= 8 and len(rest) >= 5 else None


def _scheme(match: re.Match[str]) -> str | None:
    """`Bearer …`. The other schemes are words of prose as well, so what follows them has to look like no word."""
    value = match["value"].rstrip(".")
    if match["scheme"].lower() != "bearer" and value.isalpha() and (value.islower() or value.istitle()):
        return None
    return match[0].removesuffix(match["value"]) + HIDDEN


def _login(match: re.Match[str]) -> str | None:
    """Addresses of repositories begin with `git@` everywhere."""
    return None if match["login"] in ("git", HIDDEN) else f"://{HIDDEN}@"


def _card(match: re.Match[str]) -> str | None:
    return HIDDEN if _passes_luhn(match[0]) else None


def _credential(regex: str, *guards: str) -> Pattern:
    return Pattern(guards, re.compile(regex), _always)


#: Credentials with a telling beginning. The first of them hold no separator.
_KEYS: Final = (
    _credential(
        r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:[^-]++|-(?!----END))*+(?:-----END [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----)?",
        "-----BEGIN",
    ),
    Pattern(("eyJ",), re.compile(r"eyJ[A-Za-z0-9_-]*+(?:\.[A-Za-z0-9_-]*+){0,4}+"), _web_token),
    _credential(r"A(?:KI|SI)A[0-9A-Z]{16}", "AKIA", "ASIA"),
    _credential(r"AIza[0-9A-Za-z_-]{30,}+", "AIza"),
)
#: These have one, and much behind it. One look for that spares most texts a dozen.
_SEPARATED_KEY: Final = re.compile(r"[_.-][A-Za-z0-9_-]{10}")
_SEPARATED_KEYS: Final = (
    _credential(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}+", "sk-"),
    _credential(r"[rsp]k_(?:live|test)_[A-Za-z0-9]{10,}+", "k_live_", "k_test_"),
    _credential(r"gh[pousr]_[A-Za-z0-9]{20,}+", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    _credential(r"github_pat_[A-Za-z0-9_]{20,}+", "github_pat_"),
    _credential(r"gl(?:pat|ptt|dt|rt|cbt|soat)-[A-Za-z0-9_-]{16,}+", "gl"),
    _credential(r"xox[a-z]-[A-Za-z0-9-]{10,}+|xapp-[A-Za-z0-9-]{10,}+", "xox", "xapp-"),
    _credential(r"ya29\.[0-9A-Za-z_-]{16,}+|GOCSPX-[0-9A-Za-z_-]{16,}+", "ya29.", "GOCSPX-"),
    _credential(r"(?:hf|npm|gsk|tvly|r8)[_-][A-Za-z0-9]{20,}+", "hf_", "npm_", "gsk_", "tvly-", "r8_"),
    _credential(r"pypi-[A-Za-z0-9_-]{20,}+", "pypi-"),
    _credential(r"SG\.[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+", "SG."),
    _credential(r"(?:xai|pplx|nvapi)-[A-Za-z0-9_-]{20,}+", "xai-", "pplx-", "nvapi-"),
    _credential(r"whsec_[A-Za-z0-9+/=]{16,}+|lsv2_[A-Za-z0-9_]{20,}+", "whsec_", "lsv2_"),
    _credential(r"hvs\.[A-Za-z0-9_-]{20,}+", "hvs."),
)
#: For the text in lower case.
_SCHEMES: Final = ("bearer", "basic", "digest", "token")
_SCHEME: Final = Pattern(
    (),
    re.compile(
        r"(?<![A-Za-z])(?P<scheme>[Bb]earer|BEARER|[Bb]asic|BASIC|[Dd]igest|DIGEST|[Tt]oken|TOKEN)\s{1,8}+"
        r"(?!\[redacted\])(?P<value>[A-Za-z0-9._~+/=-]{8,}+)"
    ),
    _scheme,
)
_ELEMENT: Final = re.compile(r"<(?P<name>[A-Za-z0-9_:.-]++)(?:\s[^<>]*+)?+>(?P<value>[^<]++)")
#: Where there is a password, it may hold anything but a slash, also another `@`.
_LOGIN: Final = Pattern(("@",), re.compile(r"://(?P<login>[^/\s@:?#\"'<>]*+(?::[^/\s\"<>]*)?)@"), _login)
#: In groups as they are printed, or in one; the first digit tells the network.
_CARD: Final = Pattern(
    tuple("23456"),
    re.compile(
        r"[2-6](?<![0-9].)(?<![0-9][.-].)(?:[0-9]{12,18}+|[0-9]{3}(?:[ \u00a0.-][0-9]{4}){2}[ \u00a0.-][0-9]{1,7}+"
        r"|[0-9]{3}[ \u00a0.-][0-9]{6}[ \u00a0.-][0-9]{4,5}+)(?![0-9]|[.-][0-9])"
    ),
    _card,
)
_OTHERS: Final = (_LOGIN, _CARD)
EMAIL: Final = re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]++@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)++")


def hide_secrets(text: str) -> tuple[str, int]:
    """The text with every secret replaced, and how many there were."""
    if len(text) < _SHORTEST:
        return text, 0
    text, hidden = _hide_all(_KEYS, text, 0)
    if _SEPARATED_KEY.search(text):
        text, hidden = _hide_all(_SEPARATED_KEYS, text, hidden)
    lowered = lower(text)
    schemed = any(scheme in lowered for scheme in _SCHEMES)
    # Both in the text as it is: hiding one kind may take away what another is known by.
    secrets = [*assigned_secrets(text, lowered, MOST), *(_secret_elements(text) if "<" in text else ())]
    if secrets:
        text = _without(text, secrets)
        hidden += len(secrets)
        if "<" in text:  # an element whose end was hidden goes on to the next one
            text = _without(text, _secret_elements(text))
    if schemed:
        text, count = _hide(_SCHEME, text)
        hidden += count
    text, hidden = _hide_all(_OTHERS, text, hidden)
    return (text, hidden) if hidden <= MOST else (HIDDEN, hidden)


def _secret_elements(text: str) -> list[Hidden]:
    """`<password>hunter2</password>`."""
    secrets: list[Hidden] = []
    for match in _ELEMENT.finditer(text):
        if match["value"] != HIDDEN and secrecy(match["name"]) is not None:
            secrets.append(Hidden(*match.span("value"), HIDDEN))
            if len(secrets) > MOST:
                break
    return secrets


def _without(text: str, found: list[Hidden]) -> str:
    """The text with all of these parts hidden, which may overlap."""
    if not found:
        return text
    found.sort()
    parts: list[str] = []
    done = 0
    for start, end, shown in found:
        if start >= done:
            parts += text[done:start], shown
        done = max(done, end)
    parts.append(text[done:])
    return "".join(parts)


def may_name_secrets(lowered: str) -> bool:
    """Whether a text in lower case has a word without which no name in it names a secret."""
    for stem in STEMS:
        if stem in lowered:
            return True
    return False


def lower(text: str) -> str:
    """The text in lower case, every character where it was: one there is becomes two."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else text.replace("\u0130", "I").lower()


def _hide_all(patterns: tuple[Pattern, ...], text: str, hidden: int) -> tuple[str, int]:
    for pattern in patterns:
        for guard in pattern.guards:
            if guard in text:
                text, count = _hide(pattern, text)
                hidden += count
                break
    return text, hidden


def _hide(pattern: Pattern, text: str) -> tuple[str, int]:
    parts: list[str] = []
    done = count = 0
    for match in pattern.regex.finditer(text):
        shown = pattern.decide(match)
        if shown is not None:
            parts += text[done : match.start()], shown
            done = match.end()
            count += 1
            if count > MOST:
                break
    if not count:
        return text, 0
    parts.append(text[done:])
    return "".join(parts), count


def _passes_luhn(text: str) -> bool:
    """Whether the digits have the check digit of a payment card; order numbers and timestamps mostly do not."""
    digits = [ord(character) - 48 for character in text if "0" <= character <= "9"]
    return (sum(digits[-1::-2]) + sum([_DOUBLED[digit] for digit in digits[-2::-2]])) % 10 == 0


#: The digits of twice a digit, added.
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
