"""The contributors' environment holds what its lock says, and nothing that an earlier one had."""

import importlib.metadata

from scripts.bootstrap import LOCK, not_locked


def test_what_is_not_in_the_lock_is_named() -> None:
    lock = "anyio==4.16.0 \\\n    --hash=sha256:0\n    # via\n    #   other==1\nredis[hiredis]==6.2\n"
    installed = ["anyio", "Redis", "pip", "spanflow", "opentelemetry_exporter.otlp", "other"]
    assert not_locked(installed, lock) == ["opentelemetry_exporter.otlp", "other"]


def test_this_environment_has_nothing_else() -> None:
    installed = [each.metadata["Name"] for each in importlib.metadata.distributions()]
    assert not_locked(installed, LOCK.read_text(encoding="utf-8")) == []
