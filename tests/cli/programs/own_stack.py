"""Own an embedded stack until a signal or a kill comes: `python -m tests.cli.programs.own_stack <data directory>`."""

import signal
import sys
from pathlib import Path

from tests.support.embedded_stack import EmbeddedStack

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with EmbeddedStack(Path(sys.argv[1]), purpose="own_stack") as stack:
    sys.stdout.write(f"{stack.postgres.child.pid} {stack.redis.child.pid}\n")
    sys.stdout.flush()
    signal.pause()
