"""Whether the SDK that is installed is one whose spans we can make more cheaply."""

import pytest


def has_quick_spans() -> bool:
    try:
        from spanflow.instrumentation.quick.quick_class import is_known_sdk
    except ImportError:
        return False
    return is_known_sdk()


needs_quick_spans = pytest.mark.skipif(not has_quick_spans(), reason="this SDK makes its own spans")
