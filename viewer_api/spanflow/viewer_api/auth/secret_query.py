"""Takes secrets out of a request's address before it can be logged.

A server writes its access log from the scope of the request, so that is where they are taken from. Only the callback
of the identity provider has a right to one, and finds it in the request's state.
"""

from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.types import Scope

CALLBACK: Final = "/api/v1/session/oidc/callback"
_SECRET: Final = frozenset(
    {
        "token",
        "access_token",
        "id_token",
        "refresh_token",
        "authorization",
        "ticket",
        "jwt",
        "code",
        "password",
        "api_key",
    }
)


def names_a_secret(scope: Scope) -> bool:
    """Whether a parameter of the address is one that holds a secret."""
    query: bytes = scope.get("query_string", b"")
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1") if query else ()
    return any(name.strip().lower() in _SECRET for name, _ in pairs)


def hide_secrets(scope: Scope, path: str) -> None:
    """Called first of all. `scope["state"]["query"]` keeps what the callback needs."""
    query: bytes = scope.get("query_string", b"")
    if not query:
        return
    if path == CALLBACK:
        scope.setdefault("state", {})["query"] = query.decode("latin-1")
        scope["query_string"] = b""
        return
    if names_a_secret(scope):
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
        kept = [(name, value) for name, value in pairs if name.strip().lower() not in _SECRET]
        scope["query_string"] = urlencode(kept, encoding="latin-1").encode()
