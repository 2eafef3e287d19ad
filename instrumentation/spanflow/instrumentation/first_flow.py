"""Says the first flow that is stored, with its link: after `spanflow run` the operator sees at once that it works."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

#: Set by `spanflow run`: a file that the first process to store a flow removes, the viewer's address, and the process
#: that becomes the gateway.
FIRST_FLOW: Final = "_SPANFLOW_FIRST_FLOW"


def remove_mark(environ: Mapping[str, str] = os.environ) -> None:
    """The gateway ends, maybe without a flow. No-op in its workers and other children, which come and go."""
    try:
        announcement = json.loads(environ[FIRST_FLOW])
        if announcement["process"] == os.getpid():
            os.unlink(announcement["mark"])
    except (KeyError, ValueError, TypeError, OSError):
        return  # not started by `spanflow run`, or a flow was stored


class FirstFlow:
    """Called with the ids of flows that are stored, on a thread of ours."""

    def __init__(self, mark: str, viewer: str) -> None:
        self._mark = mark
        self._viewer = viewer

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "FirstFlow | None":
        try:
            announcement = json.loads(environ[FIRST_FLOW])
            return cls(str(announcement["mark"]), str(announcement["viewer"]))
        except (KeyError, ValueError, TypeError):
            return None

    def __call__(self, flow_ids: Sequence[str]) -> None:
        if not self._mark or not flow_ids:
            return
        mark, self._mark = self._mark, ""
        try:
            os.unlink(mark)  # of all processes of the gateway, one succeeds
            where = f"{self._viewer}/#/flow/{flow_ids[0]}" if self._viewer else f"spanflow show {flow_ids[0]}"
            sys.stderr.write(f"spanflow: the first flow is stored: {where}\n")
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):
            return  # another process has said it, or there is no terminal
