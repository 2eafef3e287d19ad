"""`make bench`: all variants, interleaved, at least five rounds; tables on stdout and everything as JSON.

Every figure that counts is a ratio within a round: absolute numbers belong to one machine on one day.
"""

import argparse
import os
import platform
import subprocess
import sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from benchmarks.http_load import http_round
from benchmarks.report import median_of, overhead_ratio, ratio_to, table
from benchmarks.servers import running_servers
from benchmarks.targets import verdicts
from benchmarks.variants import EVERYTHING, MIRROR, NONE, REFERENCE, VARIANTS, Servers

Results = dict[str, dict[str, list[dict[str, float]]]]
#: Under full load only what a gateway would really run, and what it is compared with.
HTTP_VARIANTS = (NONE, "b the seeds' design, done plainly", REFERENCE, MIRROR, EVERYTHING)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3000, help="requests per burst")
    parser.add_argument("--seconds", type=float, default=3.0, help="load per variant and round")
    parser.add_argument("--only", choices=["request", "http", "mirror"], action="append", help="one suite (repeatable)")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"))
    options = parser.parse_args(arguments)
    suites = options.only or ["request", "http", "mirror"]
    results: Results = defaultdict(lambda: defaultdict(list))
    with running_servers() as servers:
        for number in range(1, options.rounds + 1):
            _say(f"round {number} of {options.rounds}")
            if "request" in suites:
                for name in VARIANTS:
                    results["request"][name].append(_request_round(name, servers, options.requests))
            if "http" in suites:
                for name in HTTP_VARIANTS:
                    results["http"][name].append(http_round(name, servers, options.seconds))
            if "mirror" in suites:
                results["mirror"]["mirror"].append(_in_process("benchmarks.mirror_capacity", asdict(servers)))
    sys.stdout.write(report(results))
    options.json.write_bytes(
        orjson.dumps({"machine": _machine(), "results": results}, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    )


def report(results: Results) -> str:
    """The tables of the suites that ran, and how their targets were met."""
    parts: list[str] = []
    if request := results.get("request"):
        rows = [
            [
                name,
                median_of(rounds, "paced_us"),
                median_of(rounds, "burst_us"),
                median_of(rounds, "burst_p99_us"),
                median_of(rounds, "cpu_us"),
                overhead_ratio(request, name, REFERENCE, NONE, "paced_us"),
                overhead_ratio(request, name, REFERENCE, NONE, "burst_us"),
                ratio_to(request[REFERENCE], rounds, "burst_p99_us"),
                ratio_to(request[REFERENCE], rounds, "cpu_us"),
                median_of(rounds, "lost"),
            ]
            for name, rounds in request.items()
        ]
        heads = "paced us,burst us,burst p99 us,CPU us,paced /c,burst /c,p99 /c,CPU /c,lost".split(",")
        parts.append(table(["a request's coroutine", *heads], rows))
    if http := results.get("http"):
        rows = [
            [
                name,
                median_of(rounds, "per_s"),
                ratio_to(http[NONE], rounds, "per_s"),
                ratio_to(http[REFERENCE], rounds, "per_s"),
                median_of(rounds, "p50_ms"),
                median_of(rounds, "p99_ms"),
                median_of(rounds, "lost"),
                median_of(rounds, "drained_s"),
            ]
            for name, rounds in http.items()
        ]
        heads = "req/s,/a,/c,p50 ms,p99 ms,lost,drained s".split(",")
        parts.append(table(["a server under full load", *heads], rows))
    if mirror := results.get("mirror"):
        rounds = mirror["mirror"]
        rows = [[key, median_of(rounds, key)] for key in rounds[0]]
        parts.append(table(["the mirror", "median"], rows))
    parts.append(table(["target", "measured", "wanted", "met"], verdicts(results)))
    return "\n\n".join(parts) + "\n"


def _request_round(name: str, servers: Servers, requests: int) -> dict[str, float]:
    return _in_process("benchmarks.request_cost", {"variant": name, "servers": asdict(servers), "requests": requests})


def _in_process(module: str, job: dict[str, Any]) -> dict[str, float]:
    """A fresh process for every measurement: none inherits another's heap."""
    done = subprocess.run(
        [sys.executable, "-m", module, orjson.dumps(job).decode()], stdout=subprocess.PIPE, check=True, timeout=300
    )
    result: dict[str, float] = orjson.loads(done.stdout)
    return result


def _machine() -> dict[str, Any]:
    return {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
