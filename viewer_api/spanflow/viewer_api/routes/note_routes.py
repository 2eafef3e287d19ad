"""Notes and verdicts of operators on a flow."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from starlette.responses import Response

from spanflow.viewer_api.auth.permissions import Principal, Right, Role
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.http.query_values import checked_flow_id, plain
from spanflow.viewer_api.http.responses import json_response
from spanflow.viewer_api.store.audit_log import Entry
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.flow_notes import MAX_NOTES, NewNote
from spanflow.viewer_api.viewer import Needs, Viewer, viewer_of

router = APIRouter(prefix="/api/v1/flows/{flow_id}/notes", tags=["notes"])
MayAnnotate = Annotated[Principal, Depends(Needs(Right.ANNOTATE))]
MAX_TEXT: Final = 4000


class NoteBody(BaseModel):
    """A text, a verdict, or both."""

    model_config = ConfigDict(extra="forbid")

    verdict: Annotated[Literal["good", "bad", "needs_look"] | None, Field(description="good, bad or needs_look.")] = (
        None
    )
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_TEXT)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.verdict is None and not self.note:
            raise ValueError("give a verdict, a note, or both")
        return self

    @property
    def text(self) -> str | None:
        """As Postgres can keep it: it knows neither NUL nor half of a character."""
        return plain(self.note or "").encode(errors="replace").decode() or None


@router.get("")
async def notes(request: Request, principal: MayAnnotate, flow_id: str) -> Response:
    """What operators say of a flow, the newest first. `verdict` is that of the newest note that has one."""
    viewer, flow_id = viewer_of(request), checked_flow_id(flow_id)
    user_id = await _user_of(request, viewer, principal, flow_id, "notes_read")
    await viewer.record_access(request, "notes_read", user_id=user_id, target=flow_id)
    rows = await viewer.notes.of_flow(flow_id)
    verdict = next((row["verdict"] for row in rows if row["verdict"] is not None), None)
    shown = [_shown(row, principal) for row in rows]
    return json_response({"flow_id": flow_id, "verdict": verdict, "notes": shown})


@router.post("")
async def add(request: Request, principal: MayAnnotate, flow_id: str, body: NoteBody) -> Response:
    """Say something of a flow: a text, a verdict, or both."""
    viewer, flow_id = viewer_of(request), checked_flow_id(flow_id)
    user_id = await _user_of(request, viewer, principal, flow_id, "note_created")
    note = NewNote(flow_id, user_id, body.verdict, body.text, principal.owner_key, principal.name, principal.user_id)
    async with viewer.notes.database.transaction() as connection:
        row = await viewer.notes.add(connection, note, _now(viewer))
        if row is None:
            raise Problem(409, "too_many_notes", f"This flow has {MAX_NOTES} notes, or was erased.")
        await viewer.audit.write_in(connection, [_entry(request, viewer, "note_created", row)])
    return json_response(_shown(row, principal))


@router.put("/{note_id}")
async def change(request: Request, principal: MayAnnotate, flow_id: str, note_id: str, body: NoteBody) -> Response:
    """Replace a note of one's own."""
    viewer, flow_id = viewer_of(request), checked_flow_id(flow_id)
    await _user_of(request, viewer, principal, flow_id, "note_changed")
    async with viewer.notes.database.transaction() as connection:
        row = await viewer.notes.change(
            connection, flow_id, plain(note_id), principal.owner_key, body.verdict, body.text, _now(viewer)
        )
        if row is None:
            raise _not_found()
        await viewer.audit.write_in(connection, [_entry(request, viewer, "note_changed", row)])
    return json_response(_shown(row, principal))


@router.delete("/{note_id}")
async def delete(request: Request, principal: MayAnnotate, flow_id: str, note_id: str) -> Response:
    """Remove a note: one of your own, or any for an admin."""
    viewer, flow_id = viewer_of(request), checked_flow_id(flow_id)
    await _user_of(request, viewer, principal, flow_id, "note_deleted")
    owner = None if principal.role is Role.ADMIN else principal.owner_key
    async with viewer.notes.database.transaction() as connection:
        row = await viewer.notes.delete(connection, flow_id, plain(note_id), owner)
        if row is None:
            raise _not_found()
        await viewer.audit.write_in(connection, [_entry(request, viewer, "note_deleted", row)])
    return json_response({"status": "deleted", "note_id": row["note_id"]})


async def _user_of(request: Request, viewer: Viewer, principal: Principal, flow_id: str, action: str) -> str | None:
    """Whose flow it is; a problem where it may not be seen."""
    known, user_id = await flow_reader(viewer, principal).user_of(flow_id)
    if not known:
        await viewer.missed(request, action, flow_id)
        raise Problem(404, "flow_not_found", "There is no flow with this id.")
    return user_id


def _not_found() -> Problem:
    return Problem(404, "note_not_found", "There is no such note of yours.")


def _shown(row: Row, principal: Principal) -> dict[str, Any]:
    return {
        "note_id": row["note_id"],
        "verdict": row["verdict"],
        "note": row["note"],
        "created_at": row["created_at"],
        "created_by": row["created_by"],
        "changed_at": row["changed_at"],
        "mine": row["owner"] == principal.owner_key,
    }


def _entry(request: Request, viewer: Viewer, action: str, row: Row) -> Entry:
    """Not what it says: whoever erases the note means all of it."""
    detail = {"note_id": row["note_id"], "verdict": row["verdict"], "created_by": row["created_by"]}
    return viewer.entry(request, action, user_id=row["user_id"], target=row["flow_id"], detail=detail)


def _now(viewer: Viewer) -> datetime:
    return datetime.fromtimestamp(viewer.clock(), UTC)
