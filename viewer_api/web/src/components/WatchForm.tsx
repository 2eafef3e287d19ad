import { useEffect, useState, type FormEvent } from "react";
import { monitoringPolicy, nameOf, watch, type Person, type Policy } from "../api/monitoring";
import { UserSearch } from "./UserSearch";

interface Props {
  readonly onWatched: (userId: string) => void;
  readonly onHistory: (userId: string) => void;
}

/** Find a person, say why and for how long, and watch. */
export function WatchForm({ onWatched, onHistory }: Props) {
  const [person, setPerson] = useState<Person | null>(null);
  const [reason, setReason] = useState("");
  const [hours, setHours] = useState("1");
  const [policy, setPolicy] = useState<Policy | null>(null);
  const [metadataOnly, setMetadataOnly] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    const abort = new AbortController();
    monitoringPolicy(abort.signal).then(
      (found) => {
        setPolicy(found);
        setMetadataOnly(found.metadataOnly !== "off");
        setHours((chosen) => String(Math.min(Number(chosen), found.maxHours)));
      },
      // Without it the viewer itself still says what a watch needs.
      () => {},
    );
    return () => abort.abort();
  }, []);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (person === null) return;
    setBusy(true);
    watch(person.userId, Number(hours), reason.trim(), metadataOnly)
      .then(
        () => {
          setProblem(null);
          setPerson(null);
          onWatched(person.userId);
        },
        (error: unknown) => setProblem(error instanceof Error ? error.message : String(error)),
      )
      .finally(() => setBusy(false));
  };
  return (
    <section aria-labelledby="watch-title">
      <h2 id="watch-title">Watch somebody</h2>
      <UserSearch label="Person" onChoose={setPerson} />
      {person !== null && (
        <form onSubmit={submit} data-testid="watch-form" className="watch">
          <p>
            <strong>{nameOf(person)}</strong> <span className="quiet">id {person.userId}</span>
          </p>
          <label>
            {policy?.reasonRequired === false ? "Reason (may be left out)" : "Reason"}
            <input
              value={reason}
              onChange={(event) => setReason(event.target.value)}
              required={policy?.reasonRequired !== false}
              minLength={policy?.reasonLength ?? 1}
              maxLength={500}
              placeholder="ticket, complaint, test …"
              data-testid="watch-reason"
            />
          </label>
          <label>
            Hours
            <input
              type="number"
              min="0.01"
              max={policy?.maxHours ?? 8760}
              step="any"
              value={hours}
              onChange={(event) => setHours(event.target.value)}
              required
              data-testid="watch-hours"
            />
          </label>
          <label className="tick">
            <input
              type="checkbox"
              checked={metadataOnly}
              disabled={policy?.metadataOnly === "always"}
              onChange={(event) => setMetadataOnly(event.target.checked)}
              data-testid="watch-metadata-only"
            />
            Without contents: what happens, not what is said
          </label>
          {problem !== null && (
            <p role="alert" className="alert">
              {problem}
            </p>
          )}
          <div className="buttons">
            <button type="submit" disabled={busy} className="main">
              Watch
            </button>
            <button type="button" onClick={() => onHistory(person.userId)}>
              History
            </button>
            <button type="button" onClick={() => setPerson(null)}>
              Cancel
            </button>
          </div>
        </form>
      )}
    </section>
  );
}
