"""The page of what was tried with what, from docs/compatibility.json; `scripts/try_versions.py` writes that."""

import json
from collections.abc import Iterator
from typing import Any, Final

from scripts.try_versions import RESULTS, SHOWN

_HEAD: Final = """\
<!-- Made by `make docs` from docs/compatibility.json, which `make tried` writes. -->

# Compatibility

Spanflow works with OpenTelemetry 1.28 with 0.49b0 and everything newer below 2. It pins no release: what the gateway
asks for stays.

## OpenTelemetry

`make test-otel-versions` runs the tests of instrumentation, and those of span processors that make spans, with 1.28.0,
1.35.0, 1.44.0 and the newest. So does `make test-long` with the older ones, and `make test` with the newest. The counts
are those of the last recorded run of each release; runs with more than 1,000 tests had all tests of span processors.

"""

_DIFFERENCES: Final = """
What differs with older releases:

| before | |
|---|---|
| 1.45 | The SDK makes the spans itself, which costs a request more; `spanflow doctor` notes it. |
| 1.45 | Nested values of checkpoints leave over OTLP as JSON text. In flows they are as they were given. |
| 1.43 | There is no `OTEL_CONFIG_FILE`. |
| 0.63b0 | Background tasks of FastAPI have no span of their own; their checkpoints are in the request's. |

"""

_BESIDE: Final = """\
## Gateways and distributions

What is installed beside Spanflow on Python 3.12, as the resolver says, and which OpenTelemetry that brings:

"""

_TAIL: Final = """
Those that do not go together need an OpenTelemetry older than 1.28. LiteLLM up to 1.102.4 pins 1.28.0, in its extra
`proxy-runtime`.

## When something was installed afterwards

OpenTelemetry's packages pin each other. Installing one more, such as an instrumentation, may move some and leave
others. `spanflow doctor` names those that do not fit, and a command that lets pip find a set that does.
"""


def compatibility_page() -> str:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows = results["suites"]
    return (
        _HEAD
        + (_table(_suites(rows)) if rows else "")
        + _DIFFERENCES
        + _BESIDE
        + _table(_beside(results["beside"]))
        + _TAIL
    )


def _suites(rows: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """The results of the last `make tried`."""
    yield ("Python", *SHOWN, "passed", "failed", "does not apply")
    for row in rows:
        yield tuple(str(row[name]) for name in ("python", *SHOWN, "passed", "failed", "skipped"))


def _beside(rows: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    yield "package", "release", "OpenTelemetry", "instrumentation"
    for row in rows:
        sdk, instrumentation = (row[name] for name in SHOWN[:2])
        yield f"`{row['package']}`", row["release"], sdk or "does not go together", instrumentation


def _table(rows: Iterator[tuple[str, ...]]) -> str:
    head = next(rows)
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ("---",) * len(head), *rows))
