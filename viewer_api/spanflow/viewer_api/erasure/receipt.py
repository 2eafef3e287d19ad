"""What an erasure gives back: what went, what stays and why, and where copies may be that it does not reach."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from spanflow.span_processors.ids import shown_id

#: Every kind that an erasure counts, in the order of the receipt.
KINDS: Final = (
    "flows",
    "activities",
    "conversations",
    "directory",
    "watches",
    "records",
    "alerts",
    "share_links",
    "notes",
    "saved_filters",
)


@dataclass(frozen=True, slots=True)
class Outside:
    """Where else this deployment sends traces, as far as the settings tell."""

    copies: tuple[str, ...] = ()
    #: The deployment's own table of users, which people are found in.
    users_view: str = ""

    def documents(self) -> list[dict[str, Any]]:
        named = [
            {
                "what": "traces",
                "where": endpoint,
                "why": "Spanflow cannot delete there: ask its operator, or wait for its retention.",
            }
            for endpoint in self.copies
        ]
        if self.users_view:
            named.append({"what": "users", "where": self.users_view, "why": "It is a table of your own."})
        named.append(
            {
                "what": "backups and replicas",
                "where": "Postgres, Redis",
                "why": "They are older than the erasure: repeat it after restoring one.",
            }
        )
        return named


@dataclass(frozen=True, slots=True)
class Receipt:
    user_id: str
    begun_at: datetime
    finished_at: datetime
    erased_until: datetime
    #: By kind, over all attempts.
    erased: Mapping[str, int]
    running_flows: int
    audit_rows: int
    #: Rows of flows and activities that began after it.
    later_rows: int
    application_tables: tuple[str, ...]
    outside: Outside

    def document(self) -> dict[str, Any]:
        return {
            "user_id": shown_id(self.user_id),
            "status": "erased",
            "begun_at": self.begun_at,
            "finished_at": self.finished_at,
            "erased_until": self.erased_until,
            "erased": {kind: self.erased.get(kind, 0) for kind in KINDS},
            "running_flows": self.running_flows,
            "stays": self._staying(),
            "out_of_reach": self.outside.documents(),
        }

    def _staying(self) -> list[dict[str, Any]]:
        staying: list[dict[str, Any]] = [
            {
                "what": "audit log",
                "count": self.audit_rows,
                "why": "It proves who looked at this user, and the erasure itself; it has its own retention.",
            },
            {
                "what": "mark of the erasure",
                "count": 1,
                "why": "The id and the time: without them a spool or a running process would bring the data back.",
            },
            {
                "what": "spools of gateways",
                "count": None,
                "why": "What waits on a gateway's disk is refused when it is replayed, and then removed.",
            },
        ]
        if self.running_flows:
            staying.append(
                {
                    "what": "running flows",
                    "count": self.running_flows,
                    "why": "Their processes go on writing to Redis; every minute it is removed, and none is stored.",
                }
            )
        if self.later_rows:
            staying.append(
                {
                    "what": "flows and activities since",
                    "count": self.later_rows,
                    "why": "They began after the erasure. Erase again when the person is gone.",
                }
            )
        staying += [
            {
                "what": f"rows in {table}",
                "count": None,
                "why": "The table is your application's own: delete the rows there.",
            }
            for table in self.application_tables
        ]
        return staying
