"""Run inside a traced process: be a gateway for one small request.

`selftest_flow.py <user> <session> <file for the flow's id>`
"""

import sys
import time
from pathlib import Path

from opentelemetry import trace

from spanflow.instrumentation import checkpoint, flow
from spanflow.instrumentation.runtime import runtime

_KNOWS_WITHIN = 5.0


def be_a_gateway_that_runs_for_a_while(user: str) -> None:
    """Wait until this process knows who is watched. It starts asking at its first span, and we are in a hurry."""
    with flow("selftest, first of all", source="selftest"):
        pass
    deadline = time.monotonic() + _KNOWS_WITHIN
    pipeline = runtime().pipeline
    while pipeline is not None and not pipeline.is_watched(user) and time.monotonic() < deadline:
        time.sleep(0.02)


def main() -> None:
    user, session, answer = sys.argv[1:]
    be_a_gateway_that_runs_for_a_while(user)
    with flow("selftest", user_id=user, session_id=session, source="selftest") as request:
        with checkpoint("auth_check"):
            pass
        with checkpoint("tool_call", mcp="selftest", tool="echo"):
            pass
        with checkpoint("llm_complete", tokens=1):
            pass
    Path(answer).write_text(request.flow_id)
    # Ending the process sends what is left as well; the caller should not have to wait for that.
    provider = trace.get_tracer_provider()
    if hasattr(provider, "force_flush"):
        provider.force_flush(10_000)


if __name__ == "__main__":
    main()
