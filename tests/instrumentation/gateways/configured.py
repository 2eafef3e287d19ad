"""A gateway that starts Spanflow from its own code, after it has made its application."""

from spanflow.instrumentation import configure
from tests.instrumentation.gateways.unchanged import app

assert configure(app)
assert configure(app)

__all__ = ["app"]
