"""Which permission each route and socket declares. What declares none is not served."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from starlette.routing import BaseRoute, Match, Route, WebSocketRoute
from starlette.types import Scope

from spanflow.viewer_api.auth.permissions import Right

#: Below it only the API is served, never a page of the dashboard.
API: Final = "/api"


class AccessRule:
    """A route's dependency that says who may use the route."""

    #: No sign-in is required.
    is_open = False
    #: The right that is required; None: any signed-in principal.
    right: Right | None = None
    #: Bytes that a body may have; None: as many as everywhere.
    max_body: int | None = None


class Public(AccessRule):
    """For routes that expose no user data."""

    is_open = True

    def __call__(self) -> None:
        """There is nothing to check."""


class UndeclaredRoute(Exception):
    """A route that does not say who may use it."""


class RouteAccess:
    """All routes of an application. `known` are those of the framework, which cannot declare anything themselves."""

    def __init__(self, routes: list[BaseRoute], known: Mapping[str, AccessRule]) -> None:
        self._doors = [(route, _declaration(route, known)) for route in every_route(routes)]

    def all(self) -> Iterator[tuple[Route | WebSocketRoute, AccessRule]]:
        """Every route and socket with what it declares."""
        yield from self._doors

    def of(self, scope: Scope) -> AccessRule | None:
        """What the route of this request declares; None when there is no such route."""
        below = is_api(scope)
        other_method: AccessRule | None = None
        for route, declaration in self._doors:
            if below and not route.path.startswith(API):
                continue
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return declaration
            if match is Match.PARTIAL and other_method is None:
                other_method = declaration
        return other_method


def every_route(routes: list[BaseRoute]) -> Iterator[Route | WebSocketRoute]:
    """Routes and sockets one by one, those of included routers among them; `UndeclaredRoute` for what is neither."""
    for route in routes:
        included: Any = getattr(route, "original_router", None)
        if included is not None:
            yield from every_route(included.routes)
        elif isinstance(route, Route | WebSocketRoute):
            yield route
        else:
            raise UndeclaredRoute(f"{route!r}: it cannot be seen who may use what is behind it")


def is_api(scope: Scope) -> bool:
    return inner_path(scope).startswith(API)


def inner_path(scope: Scope) -> str:
    """The path below the folder that a reverse proxy serves us at."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def _declaration(route: Route | WebSocketRoute, known: Mapping[str, AccessRule]) -> AccessRule:
    dependant: Any = getattr(route, "dependant", None)
    asked = [each.call for each in dependant.dependencies] if dependant is not None else []
    declared = [call for call in asked if isinstance(call, AccessRule)]
    if not declared and dependant is None and route.path in known:
        return known[route.path]
    if len({(each.is_open, each.right) for each in declared}) != 1:
        raise UndeclaredRoute(f"{route.path} must declare one permission: {len(declared)} are declared")
    return declared[0]
