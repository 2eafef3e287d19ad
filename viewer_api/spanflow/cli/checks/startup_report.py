"""What OpenTelemetry looks like in a process that starts as a gateway would: asked of a real one."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from spanflow.cli.checks import startup_probe
from spanflow.cli.commands.run import environment_of_gateway
from spanflow.cli.problem import Problem

_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Processor:
    """One span processor of the process; `exporter` is empty when it exports nothing."""

    kind: str
    exporter: str
    redacted: bool
    endpoint: str


@dataclass(frozen=True, slots=True)
class UnseenProvider:
    """A tracer provider whose spans are not recorded."""

    kind: str
    is_sdk: bool
    exporters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StartupReport:
    provider: str
    disabled: bool
    sampler: str
    propagators: tuple[str, ...]
    #: False when a request's context would come out of the propagators as nothing at all.
    propagation_works: bool
    processors: tuple[Processor, ...]
    service: str
    unseen: tuple[UnseenProvider, ...]
    #: Why the gateway's module could not be imported.
    import_error: str
    #: What the start wrote to its standard error.
    log: str
    #: Instrumentations that cannot be imported and why, by the name of what they instrument.
    unloadable: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def ask(cls, environ: Mapping[str, str], module: str = "") -> Self:
        """Start a process as `spanflow run` does and let it look at itself, with a gateway's module imported."""
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "answer.json"
            ours = [sys.executable, "-P", "-m", "spanflow.cli.main", "run", "--quiet", "--"]
            try:
                done = subprocess.run(
                    [*ours, sys.executable, startup_probe.__file__, str(answer), *([module] if module else [])],
                    env={**os.environ, **environment_of_gateway(environ)},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=_WITHIN,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise Problem(f"a traced process did not start within {_WITHIN:g} s") from None
            if not answer.exists():
                raise Problem(f"a traced process does not start:\n{done.stderr.strip()[-2000:]}")
            report = json.loads(answer.read_text())
        return cls(
            provider=report["provider"],
            disabled=report["disabled"],
            sampler=report["sampler"],
            propagators=tuple(report["propagators"]),
            propagation_works=report["propagation_works"],
            processors=tuple(Processor(**processor) for processor in report["processors"]),
            service=report["service"],
            unseen=tuple(
                UnseenProvider(one["kind"], one["is_sdk"], tuple(one["exporters"])) for one in report["unseen"]
            ),
            import_error=report["import_error"],
            log=done.stderr.strip(),
            unloadable=report["unloadable"],
        )
