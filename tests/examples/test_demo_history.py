"""The demo's past has the steps that its gateway records today."""

import subprocess
import sys

import orjson

from tests.support.checkout import ROOT

GATES = """
import json
from datetime import UTC, datetime
from example_gateway.history import past

found = {}
for flow in past(datetime(2026, 3, 2, 12, tzinfo=UTC)):
    root, *steps = map(json.loads, flow.entries)
    gates = [step["event_type"] for step in steps if step["event_type"].endswith("_check")]
    found.setdefault(root["name"], set()).add((flow.identity.source, gates[0]))
print(json.dumps({name: sorted(each) for name, each in found.items()}))
"""


def test_a_turn_of_a_chat_is_not_signed_in_again() -> None:
    # The WebSocket was, before its first turn.
    command = [sys.executable, "-c", GATES]
    told = subprocess.run(command, cwd=ROOT / "examples" / "gateway", check=True, capture_output=True, timeout=60)
    assert orjson.loads(told.stdout) == {
        "chat turn": [["chat", "security_check"]],
        "POST /api/v1/ask/stream": [["web", "auth_check"]],
    }
