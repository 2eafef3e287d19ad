"""The SQL that each revision consists of, written out in files beside this one."""

import re
from importlib.resources import files
from typing import Final

#: The files of each revision, oldest first, in the order in which they run: (up, down).
REVISIONS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "0001": (
        (
            "foundation/set_aside.sql",
            "foundation/flows.sql",
            "foundation/partitions.sql",
            "foundation/activities.sql",
            "foundation/people.sql",
            "foundation/retention.sql",
            "foundation/legacy_summary.sql",
            "foundation/adoption_helpers.sql",
            "foundation/adoption_flows.sql",
            "foundation/adoption_others.sql",
            "foundation/adoption_end.sql",
            "foundation/conversation_triggers.sql",
        ),
        ("foundation/down.sql",),
    ),
    "0002": (
        # One file per noun, and in the second list the file that takes it back.
        (
            "viewer/flow_indexes.sql",
            "viewer/flow_reads.sql",
            "viewer/people.sql",
            "viewer/conversations.sql",
            "viewer/audit_log.sql",
        ),
        (
            "viewer/audit_log_down.sql",
            "viewer/conversations_down.sql",
            "viewer/people_down.sql",
            "foundation/people.sql",
            "viewer/flow_reads_down.sql",
            "viewer/flow_indexes_down.sql",
        ),
    ),
    "0003": (("rights/narrow.sql",), ("rights/narrow_down.sql",)),
    "0004": (("outcomes/outcome_reason.sql",), ("outcomes/outcome_reason_down.sql",)),
    "0005": (
        (
            "foundation/legacy_summary.sql",
            "application/configuration.sql",
            "application/tables.sql",
            "application/flows.sql",
            "application/activities.sql",
            "application/connect.sql",
        ),
        ("application/down.sql",),
    ),
    # Where numbers repeat, the title of a conversation is the message that came first.
    "0006": (("teams/team.sql", "foundation/activities.sql", "teams/titles.sql"), ("teams/team_down.sql",)),
    "0007": (("statistics/tables.sql",), ("statistics/tables_down.sql",)),
    "0008": (("erasure/tables.sql", "erasure/erase.sql"), ("erasure/down.sql", "foundation/retention.sql")),
    "0009": (("alerts/tables.sql",), ("alerts/down.sql",)),
    "0010": (("statistics/step_dimensions.sql",), ("statistics/step_dimensions_down.sql",)),
    "0011": (("annotations/tables.sql",), ("annotations/down.sql",)),
    "0012": (("alerts/gateway_losses.sql",), ("alerts/gateway_losses_down.sql", "alerts/tables.sql")),
    "0013": (("statistics/longer_periods.sql",), ("statistics/longer_periods_down.sql",)),
}

#: Alembic's table under a name of our own: an application's `alembic_version` in the same schema is not ours.
VERSION_TABLE: Final = "spanflow_schema_version"

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def head() -> str:
    """The newest revision that this version of Spanflow knows. Told without Alembic, which takes a second to import."""
    return next(reversed(REVISIONS))


def read(name: str, schema: str) -> str:
    """One file with the schema filled in."""
    text = files("spanflow.migrations").joinpath("sql", *name.split("/")).read_text(encoding="utf-8")
    return text.replace("{{schema}}", quoted(schema)).replace("{{schema_name}}", schema)


def quoted(name: str) -> str:
    """A schema or role as an SQL identifier. It goes into SQL as text, so nothing but a plain name is taken."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for SQL: use letters, digits and underscores, not starting with a digit")
    return f'"{name}"'


def up(revision: str, schema: str) -> list[str]:
    """The scripts that lead to a revision from the one before it."""
    return [read(name, schema) for name in REVISIONS[revision][0]]


def down(revision: str, schema: str) -> list[str]:
    """The scripts that lead back."""
    return [read(name, schema) for name in REVISIONS[revision][1]]
