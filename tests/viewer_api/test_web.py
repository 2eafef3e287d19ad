"""The dashboard's own tests under `npm run check`: strict types, the vectors in TypeScript, and the page's logic."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_dashboard_is_sound_and_reduces_events_as_the_archive_does() -> None:
    command = [sys.executable, "hatch_build.py", "npm", "run", "--silent", "check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
