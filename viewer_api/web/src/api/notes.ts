import { call } from "./http";

export const VERDICTS = ["good", "bad", "needs_look"] as const;
export type Verdict = (typeof VERDICTS)[number];

export const verdictWords = (verdict: string): string => (verdict === "needs_look" ? "needs a look" : verdict);

/** What an operator says of a flow: a text, a verdict, or both. */
export interface Note {
  readonly note_id: string;
  readonly verdict: Verdict | null;
  readonly note: string | null;
  readonly created_at: string;
  readonly created_by: string;
  readonly changed_at: string | null;
  readonly mine: boolean;
}

export interface Notes {
  /** Of the newest note that has one. */
  readonly verdict: Verdict | null;
  readonly notes: readonly Note[];
}

export interface NoteText {
  readonly verdict: Verdict | null;
  readonly note: string | null;
}

const pathOf = (flowId: string, noteId?: string) => `flows/${encodeURIComponent(flowId)}/notes${noteId === undefined ? "" : `/${encodeURIComponent(noteId)}`}`;

export const notesOf = (flowId: string, signal: AbortSignal) => call<Notes>(pathOf(flowId), { signal });
export const addNote = (flowId: string, body: NoteText) => call<Note>(pathOf(flowId), { method: "POST", body });
export const changeNote = (flowId: string, noteId: string, body: NoteText) => call<Note>(pathOf(flowId, noteId), { method: "PUT", body });
export const deleteNote = (flowId: string, noteId: string) => call(pathOf(flowId, noteId), { method: "DELETE" });
