"""A span's attributes as a plain dict, for the request's thread: quick, and safe while other threads still add some."""

from collections.abc import Mapping
from typing import Any, cast

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """A copy. The SDK's attributes copy themselves in one step, so a writer on another thread does no harm.

    The public property wraps them first, which costs more than the copy.
    """
    own = getattr(span, "_attributes", None)
    if type(own) is BoundedAttributes:
        return cast(dict[str, Any], own.copy())
    return dict(span.attributes or {})


def final_attributes_of(span: ReadableSpan) -> Mapping[str, Any]:
    """An ended span's attributes: nobody changes them any more, so they need not be copied."""
    own = getattr(span, "_attributes", None)
    if type(own) is BoundedAttributes:
        return own._dict
    return span.attributes or {}
