import { useMutation, useQuery } from "@tanstack/react-query";
import { Download } from "lucide-react";
import { useState, type FormEvent } from "react";
import { erase, storedOf, type Receipt } from "../../api/erasure";
import { nameOf, type Person } from "../../api/monitoring";
import { saveText } from "../../components/saveText";
import { dateTime } from "../../format";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { TextField } from "../../ui/Field";
import { Loading, Notice } from "../../ui/Notice";
import styles from "./EraseDialog.module.css";

interface Props {
  readonly person: Person;
  readonly onErased: () => void;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

const KINDS: Readonly<Record<string, string>> = {
  flows: "flows",
  activities: "messages and tool calls",
  conversations: "conversations",
  directory: "entries of the user directory",
  watches: "watches",
  records: "records that could not be stored",
  alerts: "alerts",
  flows_in_redis: "flows in Redis",
};

/** How much is stored of a person, why it is to be erased, and afterwards the receipt. */
export default function EraseDialog({ person, onErased, onClose, onDone }: Props) {
  const erasing = useMutation({ mutationFn: (reason: string) => erase(person.userId, reason), onSuccess: onErased });
  const close = erasing.data === undefined ? onClose : onDone;
  return (
    <Dialog title={erasing.data === undefined ? `Erase ${nameOf(person)}` : `${nameOf(person)} was erased`} open onClose={close} testId="erase-dialog">
      {erasing.data === undefined ? (
        <EraseForm person={person} erasing={erasing.isPending} problem={erasing.error?.message ?? null} onErase={erasing.mutate} onCancel={onClose} />
      ) : (
        <ReceiptView receipt={erasing.data} onClose={close} />
      )}
    </Dialog>
  );
}

interface FormProps {
  readonly person: Person;
  readonly erasing: boolean;
  readonly problem: string | null;
  readonly onErase: (reason: string) => void;
  readonly onCancel: () => void;
}

function EraseForm({ person, erasing, problem, onErase, onCancel }: FormProps) {
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  const { data: stored, error } = useQuery({ queryKey: ["stored", person.userId], queryFn: ({ signal }) => storedOf(person.userId, signal), gcTime: 0 });
  const sure = typed.trim() === person.userId && reason.trim() !== "";
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (sure && !erasing) onErase(reason.trim());
  };
  return (
    <form onSubmit={submit} className={styles["form"]}>
      <p>Everything that this person did until now is removed for good, here and in Redis. It cannot be undone.</p>
      {error !== null ? <Notice kind="problem">{error.message}</Notice> : stored === undefined ? <Loading label="What is stored is being counted" /> : <Counts counts={stored} testId="erase-stored" />}
      <TextField label="Reason, for the audit log" value={reason} onChange={setReason} isRequired maxLength={500} placeholder="request of the person, ticket …" testId="erase-reason" />
      <TextField label={`To go on, type the id: ${person.userId}`} value={typed} onChange={setTyped} isRequired testId="erase-id" />
      {problem !== null && <Notice kind="problem">{problem}</Notice>}
      <div className={styles["buttons"]}>
        <Button look="plain" onPress={onCancel}>
          Cancel
        </Button>
        <Button type="submit" look="danger" isDisabled={!sure || erasing} testId="erase-now">
          {erasing ? "Erasing…" : "Erase for good"}
        </Button>
      </div>
    </form>
  );
}

function Counts({ counts, testId }: { readonly counts: Readonly<Record<string, number>>; readonly testId: string }) {
  const some = Object.entries(counts).filter(([, count]) => count > 0);
  if (some.length === 0) return <p data-testid={testId}>Nothing is stored of this person.</p>;
  return (
    <dl className={styles["counts"]} data-testid={testId}>
      {some.map(([kind, count]) => (
        <div key={kind}>
          <dt>{KINDS[kind] ?? kind}</dt>
          <dd className="number">{count.toLocaleString()}</dd>
        </div>
      ))}
    </dl>
  );
}

function ReceiptView({ receipt, onClose }: { readonly receipt: Receipt; readonly onClose: () => void }) {
  return (
    <div className={styles["form"]} data-testid="erase-receipt">
      <p>What began until {dateTime(receipt.erased_until)} is gone:</p>
      <Counts counts={receipt.erased} testId="erase-erased" />
      <Reasons title="What stays" rows={receipt.stays.map(({ what, count, why }) => [count === null ? what : `${what} (${count.toLocaleString()})`, why])} />
      <Reasons title="Out of reach" rows={receipt.out_of_reach.map(({ what, where, why }) => [`${what}: ${where}`, why])} />
      <div className={styles["buttons"]}>
        <Button icon={Download} onPress={() => saveText(`erasure-${receipt.user_id}.json`, JSON.stringify(receipt, null, 2))} testId="save-receipt">
          Save the receipt
        </Button>
        <Button look="main" onPress={onClose}>
          Done
        </Button>
      </div>
    </div>
  );
}

function Reasons({ title, rows }: { readonly title: string; readonly rows: readonly (readonly [string, string])[] }) {
  if (rows.length === 0) return null;
  return (
    <section>
      <h3>{title}</h3>
      <ul className={styles["reasons"]}>
        {rows.map(([what, why]) => (
          <li key={what}>
            {what} <span className="quiet">{why}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
