"""`make bench-gateways` measures what it says, with few requests; the figures themselves need a quiet machine."""

import re
import subprocess
import sys

import pytest

from tests.support.checkout import ROOT
from tests.support.real_gateways import programs_of

pytestmark = pytest.mark.long


def test_it_compares_the_same_proxy_with_and_without_us() -> None:
    programs_of("litellm")
    command = [
        sys.executable,
        "-m",
        "benchmarks.gateways",
        "--rounds",
        "1",
        "--requests",
        "40",
        "--only",
        "openinference",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    (row,) = re.findall(r"^\| openinference \| (.*) \|$", done.stdout, re.MULTILINE)
    *ratios, took, memory, grown = row.split(" | ")
    assert len(ratios) == 4 and all(0.05 < float(ratio) < 20 for ratio in ratios)
    assert all(0 < float(ms) < 20_000 for ms in took.split(", "))
    assert all(50 < float(mb) < 4_000 for mb in memory.split(", "))
    assert len(grown.split(", ")) == 2
