import { useState, type FormEvent } from "react";
import { Button } from "../ui/Button";
import { TextField } from "../ui/Field";
import { Notice } from "../ui/Notice";
import styles from "./ReasonForm.module.css";

interface Props {
  /** Why the reason that was given will not do. */
  readonly problem: string | null;
  readonly onReason: (reason: string) => void;
}

/** Asks for the reason of looking at a user who is not watched: the audit log keeps it. */
export function ReasonForm({ problem, onReason }: Props) {
  const [reason, setReason] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (reason.trim() !== "") onReason(reason.trim());
  };
  return (
    <form onSubmit={submit} className={styles["form"]} data-testid="look-form">
      <TextField
        label="This flow is still running. To follow it live, give a reason (it goes to the audit log)"
        value={reason}
        onChange={setReason}
        isRequired
        maxLength={500}
        placeholder="ticket, complaint, test …"
        testId="look-reason"
      />
      <Button type="submit" look="main">
        Follow
      </Button>
      {problem !== null && <Notice kind="problem">{problem}</Notice>}
    </form>
  );
}
