"""Random traces as OTLP, and searches that find some of them. A seed gives the same traces every time."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.otlp_client import pairs

_US: Final = 1000
_MS: Final = 1_000_000
_NAMES: Final = ("GET /x", "POST /ask/{id}", "tools/call list", "поиск", "検索", "emoji 😀", "a&b=c", "x" * 150)
_KEYS: Final = ("http.response.status_code", "db.system", "ключ", "鍵", "a.b", "empty", "event", "z")
_TEXTS: Final = ("", "x", "200", "true", "naïve", "日本語", "😀", 'quo"te', "back\\slash", "line\nbreak", "<b>&</b>")
_INTEGERS: Final = (0, 1, -1, 200, 2**53 - 1, 2**53, -(2**53) - 1, 2**63 - 1, -(2**63))
_DOUBLES: Final = (0.5, -1.25, 2.0, 1e-7, 1.5e22, 123456.789, 0.0)
_BYTES: Final = (b"\0\1\2", "é".encode("latin-1"))
_SCOPES: Final = (("", ""), ("router.http", "1.2"), ("库", ""))
_STATES: Final = ("", "", "", "vendor=1", "a=1,b=2")
_NS_OF_A_MINUTE: Final = 60_000_000_000


@dataclass(frozen=True)
class SentSpan:
    """A span and where it was sent from."""

    service: str
    resource: dict[str, Any]
    scope: tuple[str, str]
    span: Span


@dataclass(frozen=True)
class Corpus:
    """Traces of one seed."""

    requests: Sequence[ExportTraceServiceRequest]
    spans: Sequence[SentSpan]

    @property
    def trace_ids(self) -> list[str]:
        return sorted({sent.span.trace_id.hex() for sent in self.spans})

    @property
    def services(self) -> list[str]:
        return sorted({sent.service for sent in self.spans})


class RandomTraces:
    """`service` begins the names of all services. All spans start within a minute from `start_ns`."""

    def __init__(self, seed: int, service: str, start_ns: int) -> None:
        self._random = random.Random(seed)
        self._services = [f"{service}-{name}" for name in ("router", "index/é", "a b", "検索")]
        self._start_ns = start_ns

    def corpus(self, traces: int) -> Corpus:
        sent: list[SentSpan] = []
        for _ in range(traces):
            sent += self._trace()
        self._random.shuffle(sent)
        requests = []
        rest = list(sent)
        while rest:
            number = self._random.randint(1, 40)
            requests.append(_request(rest[:number]))
            rest = rest[number:]
        return Corpus(requests, sent)

    def searches(self, corpus: Corpus, number: int) -> Iterator[dict[str, str]]:
        """Parameters of `/api/traces`: each asks for some of what one span has, and sometimes for what it has not."""
        for _ in range(number):
            sent = self._random.choice(corpus.spans)
            yield self._search(sent, self._random.choice(corpus.services))

    # -- traces --------------------------------------------------------------------------------------------------------

    def _trace(self) -> list[SentSpan]:
        chosen = self._random
        upper = chosen.choice((0, chosen.getrandbits(64)))
        trace_id = ((upper << 64) | chosen.randint(1, 2**64 - 1)).to_bytes(16, "big")
        ids = [chosen.randint(1, 2**64 - 1).to_bytes(8, "big") for _ in range(chosen.randint(1, 12))]
        sources = [self._source() for _ in range(chosen.randint(1, 3))]
        sent = []
        for place, span_id in enumerate(ids):
            span = self._span(trace_id, span_id)
            if place:
                # A parent that never came, or a further root, now and then.
                missing = chosen.randint(1, 2**64 - 1).to_bytes(8, "big")
                span.parent_span_id = chosen.choice((b"", missing, *ids[:place], *ids[:place], *ids[:place]))
            if chosen.random() < 0.2:
                self._add_link(span, [each for each in ids if each != span.parent_span_id])
            service, resource = chosen.choice(sources)
            made = SentSpan(service, resource, chosen.choice(_SCOPES), span)
            sent += [made] * (2 if chosen.random() < 0.1 else 1)
        return sent

    def _source(self) -> tuple[str, dict[str, Any]]:
        return self._random.choice(self._services), self._attributes(2)

    def _span(self, trace_id: bytes, span_id: bytes) -> Span:
        chosen = self._random
        start = self._start_ns + chosen.randrange(_NS_OF_A_MINUTE)
        lasted = chosen.choice((1, 999, chosen.randrange(1, 5 * _MS), chosen.randrange(1, 3000 * _MS)))
        span = Span(
            trace_id=trace_id,
            span_id=span_id,
            name=chosen.choice(_NAMES),
            kind=chosen.randint(0, 5),  # type: ignore[arg-type]
            start_time_unix_nano=start,
            end_time_unix_nano=start + lasted,
            attributes=pairs(self._attributes(5)),
            trace_state=chosen.choice(_STATES),
            flags=chosen.choice((0, 1, 0x100, 0x101, 0x301)),
        )
        code = chosen.choice((0, 0, 1, 2))
        span.status.code = code  # type: ignore[assignment]
        if code == 2:
            span.status.message = chosen.choice(("", "no index", "не найдено"))
        for _ in range(chosen.choice((0, 0, 1, 3))):
            span.events.add(
                name=chosen.choice(("", "retry", "первый")),
                time_unix_nano=start + chosen.randrange(lasted + 1),
                attributes=pairs(self._attributes(2)),
            )
        return span

    def _add_link(self, span: Span, near: Sequence[bytes]) -> None:
        chosen = self._random
        elsewhere = chosen.randint(1, 2**128 - 1).to_bytes(16, "big")
        within = bool(span.parent_span_id and near) and chosen.random() < 0.5
        span.links.add(
            trace_id=span.trace_id if within else elsewhere,
            span_id=chosen.choice(near) if within else chosen.randint(1, 2**64 - 1).to_bytes(8, "big"),
            attributes=pairs(chosen.choice(({}, {"why": "batch"}, {"opentracing.ref_type": "child_of"}))),
            trace_state=chosen.choice(_STATES),
        )

    def _attributes(self, most: int) -> dict[str, Any]:
        keys = self._random.sample(_KEYS, self._random.randint(0, most))
        return {key: self._value(2) for key in keys}

    def _value(self, depth: int) -> Any:
        chosen = self._random
        kind = chosen.randrange(9 if depth else 5)
        if kind == 5:
            return [self._value(depth - 1) for _ in range(chosen.randint(0, 3))]
        if kind == 6:
            return {key: self._value(depth - 1) for key in chosen.sample(_KEYS, chosen.randint(0, 2))}
        if kind == 7:
            return chosen.choice(_BYTES)
        if kind == 8:
            return None
        # Only the texts themselves are compared, not how JSON in a text escapes them.
        texts = _TEXTS if depth == 2 else _TEXTS[:-1]
        return chosen.choice((texts, texts, _INTEGERS, _DOUBLES, (True, False))[kind])

    # -- searches ------------------------------------------------------------------------------------------------------

    def _search(self, sent: SentSpan, other: str) -> dict[str, str]:
        chosen = self._random
        span = sent.span
        start = span.start_time_unix_nano
        lasted = (span.end_time_unix_nano - start) // _US
        search = {
            "service": chosen.choice((sent.service, sent.service, sent.service, other)),
            "start": str(self._start_ns // _US - 1),
            "end": str((self._start_ns + _NS_OF_A_MINUTE) // _US + 1),
            "limit": "1000",
        }
        if chosen.random() < 0.4:
            search["operation"] = chosen.choice((span.name, span.name, chosen.choice(_NAMES)))
        if chosen.random() < 0.3:
            search["minDuration"] = f"{max(0, lasted + chosen.choice((-1, 0, 1)))}us"
        if chosen.random() < 0.3:
            search["maxDuration"] = f"{max(0, lasted + chosen.choice((-1, 0, 1, 1000)))}us"
            if "minDuration" in search and int(search["minDuration"][:-2]) > int(search["maxDuration"][:-2]):
                del search["minDuration"]
        if chosen.random() < 0.3:
            search["start"] = str(start // _US + chosen.choice((-1, 0, 1)))
        if chosen.random() < 0.3:
            search["end"] = str(start // _US + chosen.choice((-1, 0, 1)))
        return search

    def tags(self, corpus: Corpus, number: int) -> Iterator[tuple[str, dict[str, str]]]:
        """Services, and tags that some of their spans have."""
        for _ in range(number):
            sent = self._random.choice(corpus.spans)
            yield sent.service, self._tags(sent)

    def _tags(self, sent: SentSpan) -> dict[str, str]:
        span = sent.span
        holders = [span.attributes, *(event.attributes for event in span.events), pairs(sent.resource)]
        known = {pair.key: text for holder in holders for pair in holder if (text := _text(pair.value)) is not None}
        chosen = self._random.sample(sorted(known), min(len(known), self._random.randint(0, 2)))
        tags = {key: known[key] for key in chosen}
        if self._random.random() < 0.1:
            tags["db.system"] = "nowhere"
        return tags


def _text(value: Any) -> str | None:
    """A value as a search says it; None of those that nobody types in."""
    kind = value.WhichOneof("value")
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "int_value":
        return str(value.int_value)
    return value.string_value if kind == "string_value" else None


def _request(sent: Sequence[SentSpan]) -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    for each in sent:
        group = message.resource_spans.add()
        group.resource.CopyFrom(Resource(attributes=pairs({**each.resource, "service.name": each.service})))
        scoped = group.scope_spans.add()
        scoped.scope.name, scoped.scope.version = each.scope
        scoped.spans.append(each.span)
    return message
