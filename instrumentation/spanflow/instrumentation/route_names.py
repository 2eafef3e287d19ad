"""Names for server spans of mounted applications: with the path that they are mounted at.

OpenTelemetry's instrumentation knows the routes of one application only. So it names such a request `GET /api`, or,
where the outermost application is not FastAPI's, `GET /items/{id}` without the path of the mount.
"""

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.trace import Span

from spanflow.instrumentation.edge import Edge

_ROUTE: Final = "http.route"
#: How FastAPI's own tracing writes the rest of a path below a mount.
_REST: Final = "/{path}"


def name_mounted(edge: Edge, scope: Mapping[str, Any]) -> None:
    """Called when the request has been routed. A name that the application gave the span stays."""
    above = scope.get("app_root_path")
    if above is None:  # nothing is mounted on the way
        return
    route = getattr(scope.get("route"), "path", None)
    below = scope.get("root_path")
    span = edge.server_span
    if span is None or not isinstance(route, str) or not isinstance(below, str) or not below.startswith(above):
        return
    mount = below.removeprefix(above)
    if mount:
        _rename(span, mount, route)


def _rename(span: Span, mount: str, route: str) -> None:
    name = getattr(span, "name", "")
    method, _, path = name.partition(" ")
    if path in (mount, mount + _REST, route) or (path and mount.startswith(path + "/")):
        whole = mount if route == "/" else mount + route
        span.update_name(f"{method} {whole}")
        span.set_attribute(_ROUTE, whole)
