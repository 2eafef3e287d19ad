"""The services that spans come from: an encoder for each, as each gateway process has one."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope

from spanflow.span_processors.encoding.mapping import SpanMapping
from spanflow.span_processors.encoding.process_info import ProcessInfo
from spanflow.span_processors.encoding.receiving_encoder import ReceivingEncoder
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.redis.watched import Watched
from spanflow.span_processors.settings import Settings
from spanflow.viewer_api.otlp.lazy_messages import LazyResourceSpans
from spanflow.viewer_api.otlp.log_record import LogGroup
from spanflow.viewer_api.otlp.received import ReceivedResource, ReceivedScope, attributes_of

#: Services, or instances of one, whose flows can be open at once; beyond, the one that was quiet longest is let go.
MOST_SOURCES: Final = 256
_MOST_SCOPES: Final = 1024
_numbers: Final = count()


@dataclass(slots=True)
class Source:
    """One service instance: what it says of itself, and the state of its flows."""

    resource: ReceivedResource
    process: ProcessInfo
    encoder: ReceivingEncoder
    scopes: dict[bytes, ReceivedScope] = field(default_factory=dict)
    #: When its heartbeat is due (monotonic).
    beat_at: float = 0.0

    def scope(self, group: Any) -> ReceivedScope:
        """The same object for the same scope: the encoder knows scopes by identity."""
        key = group.scope.SerializeToString(deterministic=True) + b"\0" + group.schema_url.encode()
        cached = self.scopes.get(key)
        if cached is None:
            if len(self.scopes) >= _MOST_SCOPES:
                self.scopes.clear()
            cached = self.scopes[key] = _scope(group.scope, group.schema_url)
        return cached


def _scope(scope: InstrumentationScope, schema_url: str) -> ReceivedScope:
    return ReceivedScope(scope.name, scope.version, schema_url, attributes_of(scope.attributes), next(_numbers))


class Sources:
    """By resource; the least recently heard of comes first. Used by the ingest thread only."""

    def __init__(self, settings: Settings, redactor: Redactor, watched: Watched, most: int = MOST_SOURCES) -> None:
        self._settings = settings
        self._redactor = redactor
        self._watched = watched
        self._classifier = SpanMapping.from_settings(settings)
        self._most = most
        self._known: OrderedDict[bytes, Source] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Source]:
        return iter(self._known.values())

    def of(self, group: LazyResourceSpans | LogGroup) -> tuple[Source, Source | None]:
        """The source of these spans, and one that has to make room for it."""
        key = _key_of(group)
        source = self._known.get(key)
        if source is not None:
            self._known.move_to_end(key)
            return source, None
        let_go = self._known.popitem(last=False)[1] if len(self._known) >= self._most else None
        source = self._known[key] = self._made(key, group)
        return source, let_go

    def _made(self, key: bytes, group: LazyResourceSpans | LogGroup) -> Source:
        # The same for every viewer and after every restart: a flow names each of its services once.
        instance_id = f"otlp-{hashlib.blake2b(key, digest_size=10).hexdigest()}"
        process = ProcessInfo(self._redactor, lambda: instance_id)
        resource = ReceivedResource(attributes_of(group.resource.attributes), group.schema_url)
        process.learn_resource(resource)
        encoder = ReceivingEncoder(
            self._settings,
            process=process,
            watched=self._watched,
            redactor=self._redactor,
            classifier=self._classifier,
        )
        return Source(resource, process, encoder)


def _key_of(group: LazyResourceSpans | LogGroup) -> bytes:
    """Clients and Collectors write a resource's attributes in any order."""
    pairs = sorted(pair.SerializeToString(deterministic=True) for pair in group.resource.attributes)
    return b"\0".join([*pairs, group.schema_url.encode()])
