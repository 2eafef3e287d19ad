"""Who this process is: an id of its own, and what its spans have in common."""

import os
import socket
import uuid
from collections.abc import Mapping
from typing import Any

import orjson
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from spanflow.span_processors.event.json_safe import SafeValues, safe_text
from spanflow.span_processors.redaction.redaction import Redactor


def new_instance_id() -> str:
    """Unique per process and telling to a person. `service.instance.id` will not do: forked workers may share it."""
    host = "".join(char for char in socket.gethostname() if char.isascii() and (char.isalnum() or char in "-."))[:40]
    return f"{host or 'host'}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class ProcessInfo:
    """Collects the resource and the scopes of the spans that pass. Written by the encoder's thread only.

    Fork: the child gets an id of its own and collects anew.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self.after_fork()

    def after_fork(self) -> None:
        self.instance_id = new_instance_id()
        self._resource: Resource | None = None
        # By identity, because a scope's own hash and equality look at all its attributes.
        self._scope_keys: dict[int, tuple[InstrumentationScope, str]] = {}
        self._described: dict[str, Any] = {}
        self._encoded = b"{}"

    def scope_key(self, scope: InstrumentationScope | None) -> str:
        """The word by which events name their scope; its description is in `description`."""
        if scope is None:
            return ""
        known = self._scope_keys.get(id(scope))
        if known is None:
            known = (scope, self._learn_scope(scope))
            self._scope_keys[id(scope)] = known
        return known[1]

    def learn_resource(self, resource: Resource) -> None:
        if resource is not self._resource:
            self._resource = resource
            about = self._attributes(resource.attributes)
            if resource.schema_url:
                about["schema_url"] = self._text(resource.schema_url)
            self._described["resource"] = about
            self._encoded = orjson.dumps(self._described)

    def description(self) -> bytes:
        """A JSON object: `resource` and `scopes`, as they stand in `flow_data["processes"]`."""
        return self._encoded

    def _learn_scope(self, scope: InstrumentationScope) -> str:
        name = self._text(scope.name)
        key = f"{name}@{self._text(scope.version)}" if scope.version else name
        about: dict[str, Any] = {"name": name}
        if scope.version:
            about["version"] = self._text(scope.version)
        if scope.schema_url:
            about["schema_url"] = self._text(scope.schema_url)
        if scope.attributes:
            about.update(self._attributes(scope.attributes))
        # A new object each time: the mirror's thread may be reading the old bytes.
        self._described["scopes"] = {**self._described.get("scopes", {}), key: about}
        self._encoded = orjson.dumps(self._described)
        return key

    def _attributes(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        clean, _ = self._redactor.attributes(dict(attributes))
        values, types = SafeValues().attributes(clean)
        return {"attributes": values, "types": types} if types else {"attributes": values}

    def _text(self, text: str) -> str:
        return safe_text(self._redactor.text(text)[0])
