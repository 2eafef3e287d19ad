import { useState, type FormEvent } from "react";

interface Props {
  /** Why the reason that was given will not do. */
  readonly problem: string | null;
  readonly onReason: (reason: string) => void;
}

/** Asks why somebody looks at a user who is not watched: the audit log keeps it. */
export function LookForm({ problem, onReason }: Props) {
  const [reason, setReason] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (reason.trim() !== "") onReason(reason.trim());
  };
  return (
    <form onSubmit={submit} className="watch look" data-testid="look-form">
      <label>
        It was still running when it was read. To see it go on, say why you look
        <input
          value={reason}
          onChange={(event) => setReason(event.target.value)}
          required
          maxLength={500}
          placeholder="ticket, complaint, test …"
          data-testid="look-reason"
        />
      </label>
      {problem !== null && (
        <p role="alert" className="alert">
          {problem}
        </p>
      )}
      <div className="buttons">
        <button type="submit" className="main">
          Follow
        </button>
      </div>
    </form>
  );
}
