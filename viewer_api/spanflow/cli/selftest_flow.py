"""Run inside a traced process: be a gateway for one small request.

`selftest_flow.py <user> <session> <file for the flow's id>`
"""

import sys
from pathlib import Path

from opentelemetry import trace

from spanflow.instrumentation import checkpoint, flow


def main() -> None:
    user, session, answer = sys.argv[1:]
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
