"""`make bench`: all variants, interleaved, five rounds; tables on stdout, and everything as JSON and Markdown.

Every figure that counts is a ratio within a round: absolute numbers belong to one machine on one day.
"""

import argparse
import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from benchmarks.children import ChildFailed
from benchmarks.http_load import Collecting
from benchmarks.servers import running_servers
from benchmarks.suites import FIRST_ROUNDS_ONLY, SUITES, Effort, Results, add
from benchmarks.tables import tables


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=Effort.requests, help="requests per burst")
    parser.add_argument("--seconds", type=float, default=Effort.seconds, help="load per variant and round")
    parser.add_argument("--gc", type=int, default=0, help="first threshold of the garbage collector in loaded servers")
    parser.add_argument("--gc-freeze", action="store_true", help="their heap is frozen when they have started")
    parser.add_argument("--only", choices=list(SUITES), action="append", help="one suite (repeatable)")
    parser.add_argument("--minutes", type=float, default=14.0, help="begin no round that would end later")
    parser.add_argument("--output", type=Path, default=Path(".cache/benchmarks"), help="for .json and .md")
    options = parser.parse_args(arguments)
    # Servers and measurements end with us on SIGTERM too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    effort = Effort(options.requests, options.seconds, Collecting(options.gc, options.gc_freeze))
    results: Results = {}
    failures: list[str] = []
    began = time.monotonic()
    done = 0
    with running_servers() as servers:
        for number in range(1, options.rounds + 1):
            passed = time.monotonic() - began
            if done and passed + passed / done > options.minutes * 60:
                _say(f"the time is up after {done} rounds")
                break
            for suite in options.only or SUITES:
                if number > FIRST_ROUNDS_ONLY.get(suite, number):
                    continue
                _say(f"round {number} of {options.rounds}: {suite}")
                try:
                    add(results, suite, SUITES[suite](servers, effort))
                except (ChildFailed, AssertionError, OSError) as why:
                    failures.append(f"round {number}: {suite}: {why}")
                    _say(failures[-1])
            done = number
    about = _about(done, effort)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.with_suffix(".json").write_bytes(
        orjson.dumps({"about": about, "results": results, "failures": failures}, option=orjson.OPT_INDENT_2)
    )
    text = f"{about['text']}\n\n{tables(results)}"
    if failures:
        text += "\nNot measured:\n\n" + "".join(f"- {failure}\n" for failure in failures)
    sys.stdout.write(text)
    options.output.with_suffix(".md").write_text(text)
    if failures:
        sys.exit(1)


def _about(rounds: int, effort: Effort) -> dict[str, Any]:
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    facts = {
        "rounds": rounds,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "gc_threshold": effort.collecting.threshold,
        "gc_freeze": effort.collecting.freeze,
    }
    gc = f", garbage collector's threshold {effort.collecting.threshold}" if effort.collecting.threshold else ""
    gc += ", heap frozen" if effort.collecting.freeze else ""
    text = f"{rounds} rounds, Python {facts['python']}, {facts['cores']} cores, load {load} at the end{gc}"
    return {**facts, "text": text}


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


if __name__ == "__main__":
    main()
