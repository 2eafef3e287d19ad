"""Who this process is: an id of its own, and what its spans have in common."""

import os
import socket
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from spanflow.span_processors.event.json_safe import SafeValues, safe_text
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.span_attributes import copied

#: Scopes that are known by sight, scopes by which a process is described in Redis, and descriptions that are kept
#: encoded: most processes have a dozen of the first, and as many of the last as they have kinds of requests.
_MOST_SCOPES: Final = 4096
_MOST_DESCRIBED: Final = 256
_MOST_ENCODED: Final = 256
_LONGEST_NAME: Final = 1024


def new_instance_id() -> str:
    """Unique per process and telling to a person. `service.instance.id` will not do: forked workers may share it."""
    host = "".join(char for char in socket.gethostname() if char.isascii() and (char.isalnum() or char in "-."))[:40]
    return f"{host or 'host'}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class Scope:
    """An instrumentation scope: the word by which events name it, and what that word stands for."""

    __slots__ = ("about", "key", "origin")

    def __init__(self, key: str, about: Mapping[str, Any], origin: InstrumentationScope) -> None:
        self.key = key
        self.about = about
        #: Who remembers it by identity keeps it alive, so that no other scope gets the same one.
        self.origin = origin


class ProcessInfo:
    """Collects the resource and the scopes of the spans that pass. Written by the encoder's thread only.

    An application may make a tracer per request, with a name of its own even: what is remembered is bounded, and a flow
    is described with the scopes that it uses.

    Fork: the child gets an id of its own and collects again.
    """

    def __init__(self, redactor: Redactor, new_id: Callable[[], str] = new_instance_id) -> None:
        self._redactor = redactor
        self._new_id = new_id
        self.after_fork()

    def after_fork(self) -> None:
        self.instance_id = self._new_id()
        self._resource: Resource | None = None
        # By identity, because a scope's own hash and equality look at all its attributes.
        self._scopes: dict[int, Scope] = {}
        self._about_resource: Mapping[str, Any] = {}
        self._about_scopes: Mapping[str, Mapping[str, Any]] = {}
        self._encoded: dict[frozenset[str], bytes] = {}

    def scope(self, scope: InstrumentationScope | None) -> Scope | None:
        if scope is None:
            return None
        cached = self._scopes.get(id(scope))
        if cached is None:
            if len(self._scopes) >= _MOST_SCOPES:
                self._scopes.clear()
            cached = self._scopes[id(scope)] = self._learn_scope(scope)
        return cached

    def learn_resource(self, resource: Resource) -> None:
        if resource is not self._resource:
            self._resource = resource
            about = self._attributes(resource.attributes)
            if resource.schema_url:
                about["schema_url"] = self._text(resource.schema_url)
            self._about_resource = about
            self._encoded.clear()

    def description(self) -> bytes:
        """A JSON object for readers of this process's flows in Redis: its policy for contents, its resource, and the
        scopes that it has used last. For any thread."""
        return self._described(self._about_scopes)

    def description_with(self, scopes: Iterable[Scope]) -> bytes:
        """The same for one flow, as it stands in `flow_data["processes"]`."""
        by_key = {scope.key: scope.about for scope in scopes}
        keys = frozenset(by_key)
        encoded = self._encoded.get(keys)
        if encoded is None:
            if len(self._encoded) >= _MOST_ENCODED:
                self._encoded.clear()
            encoded = self._encoded[keys] = self._described(by_key)
        return encoded

    def _described(self, scopes: Mapping[str, Mapping[str, Any]]) -> bytes:
        # The policy stands here, so that readers can tell what was left out from what never was.
        described: dict[str, Any] = {"content": self._redactor.content}
        if self._about_resource:
            described["resource"] = self._about_resource
        if scopes:
            described["scopes"] = scopes
        return orjson.dumps(described)

    def _learn_scope(self, scope: InstrumentationScope) -> Scope:
        name = self._text(scope.name)[:_LONGEST_NAME]
        version = self._text(scope.version)[:_LONGEST_NAME] if scope.version else ""
        about: dict[str, Any] = {"name": name}
        if version:
            about["version"] = version
        if scope.schema_url:
            about["schema_url"] = self._text(scope.schema_url)
        if scope.attributes:
            about.update(self._attributes(scope.attributes))
        learned = Scope(f"{name}@{version}" if version else name, about, scope)
        # A new object each time: the mirror's thread may be reading the old one.
        others = {key: value for key, value in self._about_scopes.items() if key != learned.key}
        if len(others) >= _MOST_DESCRIBED:
            del others[next(iter(others))]
        self._about_scopes = {**others, learned.key: about}
        return learned

    def _attributes(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        clean, _ = self._redactor.attributes(copied(attributes))
        values, types = SafeValues().attributes(clean)
        return {"attributes": values, "types": types} if types else {"attributes": values}

    def _text(self, text: str) -> str:
        return safe_text(self._redactor.text(text)[0])
