import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { NotebookPen, Pencil, Trash2 } from "lucide-react";
import { useState, type FormEvent } from "react";
import { ToggleButton, ToggleButtonGroup } from "react-aria-components";
import { addNote, changeNote, deleteNote, notesOf, verdictWords, VERDICTS, type Note, type NoteText, type Verdict } from "../../api/notes";
import { Ago } from "../../components/Ago";
import { VerdictChip } from "../../components/VerdictChip";
import { Button, IconButton } from "../../ui/Button";
import { TextArea } from "../../ui/Field";
import { Notice } from "../../ui/Notice";
import { Dropdown } from "../../ui/Overlay";
import toggles from "../flows/FilterBar.module.css";
import styles from "./NotesMenu.module.css";

/** The verdict on this flow, and what operators say of it. */
export function NotesMenu({ flowId, admin }: { readonly flowId: string; readonly admin: boolean }) {
  const client = useQueryClient();
  const { data, error } = useQuery({ queryKey: ["notes", flowId], queryFn: ({ signal }) => notesOf(flowId, signal) });
  const [changed, setChanged] = useState<Note | null>(null);
  const act = useMutation({
    mutationFn: (ask: () => Promise<unknown>) => ask(),
    onSuccess: () => {
      setChanged(null);
      return Promise.all([client.invalidateQueries({ queryKey: ["notes", flowId] }), client.invalidateQueries({ queryKey: ["flows"] })]);
    },
  });
  const notes = data?.notes ?? [];
  const problem = error ?? act.error;
  const say = (text: NoteText) => act.mutate(() => (changed === null ? addNote(flowId, text) : changeNote(flowId, changed.note_id, text)));
  return (
    <>
      {data?.verdict != null && <VerdictChip verdict={data.verdict} />}
      <Dropdown
        label="Notes"
        testId="notes"
        trigger={
          <Button icon={NotebookPen} look="plain" testId="open-notes">
            {notes.length === 0 ? "Notes" : `Notes (${notes.length})`}
          </Button>
        }
      >
        <div className={styles["notes"]}>
          {problem !== null && <Notice kind="problem">{problem.message}</Notice>}
          <NoteForm key={`${changed?.note_id} ${notes.length}`} before={changed} busy={act.isPending} onSay={say} onCancel={() => setChanged(null)} />
          {notes.length > 0 && <ul className={styles["list"]}>
            {notes.map((note) => (
              <li key={note.note_id} className={styles["note"]} data-testid="note">
                <span className={styles["by"]}>
                  <span className="truncate">{note.mine ? "You" : note.created_by}</span>
                  <span className="quiet">
                    <Ago iso={note.created_at} />
                    {note.changed_at !== null && ", changed"}
                  </span>
                  {note.verdict !== null && <VerdictChip verdict={note.verdict} />}
                  <span className={styles["end"]}>
                    {note.mine && <IconButton icon={Pencil} label="Change this note" testId="change-note" onPress={() => setChanged(note)} />}
                    {(note.mine || admin) && (
                      <IconButton icon={Trash2} label="Remove this note" testId="delete-note" onPress={() => act.mutate(() => deleteNote(flowId, note.note_id))} />
                    )}
                  </span>
                </span>
                {note.note !== null && <p className={styles["text"]}>{note.note}</p>}
              </li>
            ))}
          </ul>}
        </div>
      </Dropdown>
    </>
  );
}

interface FormProps {
  readonly before: Note | null;
  readonly busy: boolean;
  readonly onSay: (text: NoteText) => void;
  readonly onCancel: () => void;
}

function NoteForm({ before, busy, onSay, onCancel }: FormProps) {
  const [text, setText] = useState(before?.note ?? "");
  const [verdict, setVerdict] = useState<Verdict | null>(before?.verdict ?? null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSay({ verdict, note: text.trim() === "" ? null : text.trim() });
  };
  return (
    <form onSubmit={submit} className={styles["form"]} aria-label={before === null ? "New note" : "Change the note"}>
      <ToggleButtonGroup
        aria-label="Verdict"
        selectionMode="single"
        selectedKeys={verdict === null ? [] : [verdict]}
        onSelectionChange={(keys) => setVerdict(VERDICTS.find((each) => keys.has(each)) ?? null)}
        className={toggles["outcomes"] ?? ""}
      >
        {VERDICTS.map((each) => (
          <ToggleButton key={each} id={each} className={toggles["outcome"] ?? ""} data-testid={`verdict-${each}`}>
            {verdictWords(each)}
          </ToggleButton>
        ))}
      </ToggleButtonGroup>
      <TextArea label="Note" value={text} onChange={setText} maxLength={4000} rows={3} testId="note-text" />
      <span className={styles["by"]}>
        <Button type="submit" look="main" isDisabled={busy || (verdict === null && text.trim() === "")} testId="save-note">
          {before === null ? "Add note" : "Change note"}
        </Button>
        {before !== null && <Button onPress={onCancel}>Cancel</Button>}
      </span>
    </form>
  );
}
