"""Unknown parameters are refused: a misspelt command must not be half executed, nor a misspelt filter be ignored."""

from difflib import get_close_matches
from typing import Final

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection

from spanflow.viewer_api.http.problems import invalid_request

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


async def known_parameters(connection: HTTPConnection) -> None:
    """A dependency of every route. Lists read their filters strictly by themselves."""
    if connection.scope.get("method") not in _READING:
        await only_known_parameters(connection)


async def only_known_parameters(connection: HTTPConnection) -> None:
    """A dependency of routes that read a few parameters of their own. What existing dashboards call tolerates more."""
    route = connection.scope.get("route")
    if not connection.query_params or not isinstance(route, APIRoute):
        return
    parameters = sorted(_names_in(route.dependant))
    for name in connection.query_params:
        if name not in parameters:
            close = get_close_matches(name[:50], parameters, 1)
            meant = f" Did you mean {close[0]}?" if close else f" Known: {', '.join(parameters) or 'none'}."
            raise invalid_request(f"{name[:50]}: there is no such parameter.{meant}")


def _names_in(dependant: Dependant) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    return names.union(*map(_names_in, dependant.dependencies))
