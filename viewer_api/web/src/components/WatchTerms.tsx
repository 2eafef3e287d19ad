import { useMutation } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { nameOf, watch, type Person, type Policy } from "../api/monitoring";
import { to } from "../navigation/route";
import { useNavigation } from "../navigation/useNavigation";
import { Button } from "../ui/Button";
import { Checkbox, TextField } from "../ui/Field";
import { Notice } from "../ui/Notice";
import styles from "./WatchTerms.module.css";

interface TermsProps {
  readonly person: Person;
  /** Without it the viewer itself still says what a watch needs. */
  readonly policy: Policy | undefined;
  readonly onCancel: () => void;
  readonly onWatched: () => void;
}

/** Why, for how long and how closely a user is to be watched. */
export function WatchTerms({ person, policy, onCancel, onWatched }: TermsProps) {
  const { go } = useNavigation();
  const [reason, setReason] = useState("");
  const [hours, setHours] = useState(String(Math.min(1, policy?.maxHours ?? 1)));
  const [metadataOnly, setMetadataOnly] = useState((policy?.metadataOnly ?? "off") !== "off");
  const watching = useMutation({
    mutationFn: () => watch(person.userId, Number(hours), reason.trim(), metadataOnly),
    onSuccess: onWatched,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    watching.mutate();
  };
  const required = policy?.reasonRequired !== false;
  return (
    <form onSubmit={submit} data-testid="watch-form" className={styles["form"]}>
      <p className="truncate">
        <strong>{nameOf(person)}</strong> <span className="quiet">id {person.userId}</span>
      </p>
      <TextField
        label={required ? "Reason" : "Reason (optional)"}
        value={reason}
        onChange={setReason}
        isRequired={required}
        minLength={policy?.reasonLength ?? 1}
        maxLength={500}
        placeholder="ticket, complaint, test …"
        testId="watch-reason"
      />
      <TextField
        label="Hours"
        type="number"
        min={0.01}
        max={policy?.maxHours ?? 8760}
        step="any"
        value={hours}
        onChange={setHours}
        isRequired
        testId="watch-hours"
      />
      <Checkbox
        checked={metadataOnly}
        disabled={policy?.metadataOnly === "always"}
        onChange={setMetadataOnly}
        testId="watch-metadata-only"
      >
        Without contents: what happens, not what is said
      </Checkbox>
      {watching.error !== null && <Notice kind="problem">{watching.error.message}</Notice>}
      <div className={styles["buttons"]}>
        <Button type="submit" look="main" isDisabled={watching.isPending}>
          Watch
        </Button>
        <Button onPress={() => go(to("flows", null, { user_id: person.userId }))}>Past flows</Button>
        <Button look="plain" onPress={onCancel}>
          Cancel
        </Button>
      </div>
    </form>
  );
}
