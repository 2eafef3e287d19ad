"""Makes a context current and puts the old one back, also where OpenTelemetry's own `detach` would only log an error.

`detach` fails when a generator is finalised in another task than the one that attached. Then there is nothing to put
back in that task, and nothing to complain about.
"""

from contextvars import Token
from typing import Any

from opentelemetry import context
from opentelemetry.context import Context

AnyToken = Token[Any]


def activate(new: Context) -> AnyToken:
    return context.attach(new)


def deactivate(token: AnyToken) -> bool:
    """Put back what was current before; False when this is another task or thread than the one that activated."""
    try:
        token.var.reset(token)
    except (ValueError, RuntimeError):  # another context's token, or one that was used already
        return False
    return True
