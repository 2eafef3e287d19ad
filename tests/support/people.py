"""People with different roles, each with a token of the file, and what two users did."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from spanflow.viewer_api.auth.permissions import Principal, Role, Via
from spanflow.viewer_api.auth.token_file import Entry, digest, written
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.viewer_server import RunningViewer


@dataclass(frozen=True)
class Person:
    """Somebody with a token, and whom of the users 7 and 8 they may see."""

    name: str
    role: Role
    user_id: str | None = None
    scope: frozenset[str] | None = None
    sees: frozenset[str] = frozenset({"7", "8"})

    @property
    def token(self) -> str:
        return f"spanflow_token-of-{self.name}"

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def sees_everybody(self) -> bool:
        return self.scope is None and self.role is not Role.VIEWER

    def entry(self) -> Entry:
        owner = Principal(self.name, Via.TOKEN, self.role, self.user_id, self.scope)
        return Entry(digest(self.token), owner)


SEVEN, EIGHT = frozenset({"7"}), frozenset({"8"})
ADMIN = Person("admin", Role.ADMIN)
WATCHMAN = Person("watchman", Role.MONITOR)
WATCHES_7 = Person("watches-7", Role.MONITOR, scope=SEVEN, sees=SEVEN)
WATCHES_NOBODY_KNOWN = Person("watches-99", Role.MONITOR, scope=frozenset({"99"}), sees=frozenset())
VIEWER_7 = Person("viewer-7", Role.VIEWER, user_id="7", sees=SEVEN)
VIEWER_8 = Person("viewer-8", Role.VIEWER, user_id="8", sees=EIGHT)
PEOPLE = (ADMIN, WATCHMAN, WATCHES_7, WATCHES_NOBODY_KNOWN, VIEWER_7, VIEWER_8)


def write_tokens(file: Path, *people: Person) -> Path:
    file.write_text("\n".join(written(person.entry()) for person in people))
    return file


def ask(viewer: RunningViewer, person: Person, method: str, path: str, **options: Any) -> httpx.Response:
    with httpx.Client(base_url=viewer.origin, headers=person.bearer, timeout=15) as client:
        return client.request(method, path, **options)


def flow_id(number: int) -> str:
    return f"{number:032x}"


def activity_id(number: int) -> str:
    return f"5e6bb1b4-0a4b-4cf5-9d6b-{number:012x}"


def _flow(number: int, user_id: str | None, session_id: str, conversation_id: str) -> FlowPart:
    identity = Identity(user_id=user_id, session_id=session_id, conversation_id=conversation_id, source="web")
    said = Activity(
        "user_message",
        NOON + number * 1000 * MS,
        {"message": f"secret of {user_id}", "tokens_used": 10 * number},
        activity_id=activity_id(number),
        conversation_id=conversation_id,
        session_id=session_id,
        user_id=user_id,
    )
    spans = [
        span(10 * number, name=f"ask {number}"),
        span(10 * number + 1, 10 * number, event_type="auth_check", name=f"auth of {user_id}"),
    ]
    return part(number, spans, identity=identity, activities=() if user_id is None else (said.to_bytes(),))


def what_two_users_did() -> list[FlowPart]:
    """Flow 1 is user 7's and flow 2 user 8's, each in a session and conversation of their own; the flows 3 (7) and 4
    (8) have both in common, as two clients that chose the same ids have; flow 5 is nobody's."""
    return [
        _flow(1, "7", "s-7", "c-7"),
        _flow(2, "8", "s-8", "c-8"),
        _flow(3, "7", "s-both", "c-both"),
        _flow(4, "8", "s-both", "c-both"),
        _flow(5, None, "s-nobody", "c-nobody"),
    ]
