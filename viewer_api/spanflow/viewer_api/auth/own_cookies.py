"""The cookies of a request that are the viewer's own.

Others come along from whatever else is served at the same host. They are none of ours to read, and reading them costs
what their sender chooses: the standard library unquotes them in quadratic time in the older ones of its versions.
"""

from typing import Final

from starlette.types import Scope

_HEADER: Final = b"cookie"
_OURS: Final = (b"spanflow_", b"__Host-spanflow_")
#: A cookie may have 4,096 bytes.
_LONGEST: Final = 4096
_MOST: Final = 10
_QUOTING: Final = (b'"', b"\\")


def keep_own_cookies(scope: Scope) -> None:
    """Called before they are read."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    sent = [value for name, value in headers if name == _HEADER]
    if not sent:
        return
    own: list[bytes] = []
    for value in sent:
        own += [pair for part in value.split(b";") if _is_own(pair := part.strip())]
    kept = [(name, value) for name, value in headers if name != _HEADER]
    scope["headers"] = [*kept, (_HEADER, b"; ".join(own[:_MOST]))] if own else kept


def _is_own(pair: bytes) -> bool:
    return pair.startswith(_OURS) and len(pair) <= _LONGEST and not any(sign in pair for sign in _QUOTING)
