"""Somebody who asks a real gateway (`tests/instrumentation/gateways/counting.py`), and what became of it."""

import time
from pathlib import Path
from typing import Any

import httpx

from tests.support.query import query

COMMAND = [
    *("opentelemetry-instrument", "uvicorn", "tests.instrumentation.gateways.counting:app"),
    *("--port", "{port}", "--log-level", "warning"),
]
USER = "ann"


def environment(redis_url: str, postgres_dsn: str, data_dir: Path, **more: str) -> dict[str, str]:
    return {
        "SPANFLOW_ENABLED": "true",
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_POSTGRES_DSN": postgres_dsn,
        "SPANFLOW_DATA_DIR": str(data_dir),
        "SPANFLOW_SPOOL_RESERVE_BYTES": "0",
        "SPANFLOW_FLOW_GRACE": "0.05",
        **more,
    }


class Asker:
    """Asks and remembers which flows came of it."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, headers={"X-User-Id": USER}, timeout=30)
        self.flows: list[str] = []
        self.failed = 0

    def __enter__(self) -> "Asker":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def asks(self, times: int) -> float:
        """Ask, each time with success; the longest time that an answer took."""
        longest = 0.0
        for _ in range(times):
            begun = time.monotonic()
            answer = self._http.get("/ask")
            longest = max(longest, time.monotonic() - begun)
            assert answer.status_code == 200, answer.text
            self.flows.append(answer.json()["flow"])
        return longest

    def fails(self) -> None:
        """A request that goes wrong by a fault of the gateway's own."""
        assert self._http.get("/fail").status_code == 500
        self.failed += 1

    def counts(self) -> dict[str, Any]:
        counts: dict[str, Any] = self._http.get("/counts").json()
        for stage in counts["stages"].values():
            assert stage["accepted"] == stage["delivered"] + sum(stage["dropped"].values()) + stage["waiting"]
        return counts

    def settled(self) -> bool:
        """Whether nothing is on its way any more, in memory or on disk."""
        counts = self.counts()
        waiting = sum(stage["waiting"] for stage in counts["stages"].values())
        return (waiting, counts["open_flows"], counts["spool_bytes"]) == (0, 0, 0)

    def all_in(self, dsn: str) -> bool:
        """Whether everything asked is in Postgres, each flow once and whole."""
        rows = query(dsn, "SELECT flow_id, span_count, complete, name FROM omni2.interaction_flows")
        asked = [row for row in rows if row["name"] == "GET /ask"]
        assert len(rows) - len(asked) == self.failed
        assert all(row["complete"] and row["span_count"] == 4 for row in asked)
        return sorted(row["flow_id"] for row in asked) == sorted(self.flows)
