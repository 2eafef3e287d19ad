"""The part of TraceQL that Grafana's search builder writes: one `{…}` with comparisons, `&&`, `||` and parentheses.

https://grafana.com/docs/tempo/latest/traceql/
"""

import re
from typing import Any, Final

from spanflow.viewer_api.jaeger.durations import duration_ns
from spanflow.viewer_api.tempo.safe_pattern import BadPattern, SafePattern
from spanflow.viewer_api.tempo.span_filter import (
    INTRINSIC,
    INTRINSICS,
    SCOPES,
    UNSCOPED,
    Both,
    Condition,
    Either,
    Every,
    Field,
    Filter,
    Keyword,
)

_MAX_LENGTH: Final = 8192
_MAX_CONDITIONS: Final = 200
_MAX_DEPTH: Final = 20
_STATUSES: Final = ("error", "ok", "unset")
_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_OPERATORS: Final = frozenset({"=", "!=", "<", "<=", ">", ">=", "=~", "!~"})
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)
      | (?P<duration>-?\.?[0-9][0-9.]*(?:ns|us|µs|ms|s|m|h)[0-9.nsuµmh]*)
      | (?P<number>-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<field>(?:(?:span|resource|event|link|instrumentation|parent)?\.)
            (?:"(?:[^"\\]|\\.)*"|[^\s{}()=~!<>&|^"`,+*]+)+)
      | (?P<word>[A-Za-z]+(?::[A-Za-z]+)?)
      | (?P<sign>&&|\|\||!=|=~|!~|<=|>=|[{}()=<>|!])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}


class BadTraceQL(ValueError):
    """It is none, or more than is understood here."""


def parse(query: str) -> Filter:
    """The filter that a query is. `BadTraceQL` says what is not understood."""
    if len(query) > _MAX_LENGTH:
        raise BadTraceQL(f"a query may have {_MAX_LENGTH} characters")
    return _Parser(_tokens(query)).query()


def field_of(text: str) -> Field:
    """A field as a client names it: `resource.service.name`, `.http.method`, `name`, `span:status`."""
    if text in INTRINSICS:
        return Field(INTRINSIC, text)
    scope, dot, name = text.partition(".")
    if not dot or not name or scope not in (*SCOPES, UNSCOPED):
        raise BadTraceQL(f"{text[:64]!r} is no field that is known here")
    return Field(scope, _unquoted(name))


def _unquoted(name: str) -> str:
    """Attributes with odd characters stand in quotes: span."a b"."""
    return re.sub(r'"((?:[^"\\]|\\.)*)"', lambda quoted: _unescaped(quoted[1]), name)


def _unescaped(text: str) -> str:
    def meant(escaped: re.Match[str]) -> str:
        if escaped[1] not in _ESCAPES:
            raise BadTraceQL(f"unknown escape {escaped[0]!r}: write \\\\ for a backslash, or use `backquotes`")
        return _ESCAPES[escaped[1]]

    return _ESCAPED.sub(meant, text)


def _tokens(query: str) -> list[tuple[str, str]]:
    tokens = []
    query = query.rstrip()
    place = 0
    while place < len(query):
        token = _TOKEN.match(query, place)
        if token is None:
            raise BadTraceQL(f"unexpected {query[place : place + 16].strip()!r} at {place + 1}")
        tokens.append((str(token.lastgroup), token[str(token.lastgroup)]))
        place = token.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._place = 0
        self._conditions = 0

    def query(self) -> Filter:
        self._expect("{")
        if self._take("}"):
            parsed: Filter = Every()
        else:
            parsed = self._either(0)
            self._expect("}")
        if self._place < len(self._tokens):
            raise BadTraceQL(
                f"unexpected {self._tokens[self._place][1]!r} after }}: this viewer understands one {{…}}, without "
                "pipelines, metrics and structural operators"
            )
        return parsed

    def _either(self, depth: int) -> Filter:
        either = self._both(depth)
        while self._take("||"):
            either = Either(either, self._both(depth))
        return either

    def _both(self, depth: int) -> Filter:
        both = self._one(depth)
        while self._take("&&"):
            both = Both(both, self._one(depth))
        return both

    def _one(self, depth: int) -> Filter:
        if self._take("("):
            if depth >= _MAX_DEPTH:
                raise BadTraceQL(f"parentheses may be nested {_MAX_DEPTH} deep")
            inner = self._either(depth + 1)
            self._expect(")")
            return inner
        self._conditions += 1
        if self._conditions > _MAX_CONDITIONS:
            raise BadTraceQL(f"a query may have {_MAX_CONDITIONS} conditions")
        kind, text = self._next()
        if (kind, text) == ("word", "true"):
            return Every()
        if kind not in ("field", "word"):
            raise BadTraceQL(f"expected a field, not {text!r}")
        field = field_of(text)
        _, sign = self._next()
        if sign not in _OPERATORS:
            raise BadTraceQL(f"expected an operator such as = or =~ after {text}, not {sign!r}")
        return Condition(field, sign, self._value(sign))

    def _value(self, sign: str) -> Any:
        kind, text = self._next()
        if sign in ("=~", "!~"):
            if kind != "text":
                raise BadTraceQL(f"a regular expression stands in quotes, not {text!r}")
            try:
                return SafePattern(_literal(text))
            except BadPattern as why:
                raise BadTraceQL(str(why)) from None
        if kind == "text":
            return _literal(text)
        if kind == "duration":
            try:
                return duration_ns(text.removeprefix("-")) * (-1 if text.startswith("-") else 1)
            except ValueError as why:
                raise BadTraceQL(str(why)) from None
        if kind == "number":
            return float(text) if set(text) & set(".eE") else int(text)
        if text in ("true", "false"):
            return text == "true"
        if text == "nil" and sign in ("=", "!="):
            return None
        if text in _STATUSES or text in _KINDS:
            return Keyword(text)
        raise BadTraceQL(f"expected a value, not {text[:64]!r}; texts stand in quotes")

    def _next(self) -> tuple[str, str]:
        if self._place >= len(self._tokens):
            raise BadTraceQL("it ends too early")
        self._place += 1
        return self._tokens[self._place - 1]

    def _take(self, sign: str) -> bool:
        if self._place < len(self._tokens) and self._tokens[self._place] == ("sign", sign):
            self._place += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            got = self._tokens[self._place][1] if self._place < len(self._tokens) else "the end"
            raise BadTraceQL(f"expected {sign!r}, not {got[:64]!r}")


def _literal(text: str) -> str:
    return text[1:-1] if text.startswith("`") else _unescaped(text[1:-1])
