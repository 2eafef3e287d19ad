import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Copy } from "lucide-react";
import { useState, type FormEvent } from "react";
import { addShare } from "../../api/shares";
import { addressOf, copyText } from "../../components/clipboard";
import { ShareList } from "../../components/ShareList";
import { to } from "../../navigation/route";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { Checkbox, Select, TextField } from "../../ui/Field";
import { Notice } from "../../ui/Notice";
import styles from "./ShareDialog.module.css";

const USUAL = "usual";
const DURATIONS = [
  { id: USUAL, text: "the default time" },
  { id: "0.0416666667", text: "for an hour" },
  { id: "1", text: "for a day" },
  { id: "7", text: "for a week" },
  { id: "30", text: "for 30 days" },
];

/** Makes links that show this flow without a sign-in, and ends them. */
export default function ShareDialog({ flowId, onClose }: { readonly flowId: string; readonly onClose: () => void }) {
  return (
    <Dialog title="Share this flow" open onClose={onClose} wide testId="share-dialog">
      <div className={styles["dialog"]}>
        <NewLink flowId={flowId} />
        <ShareList flowId={flowId} />
      </div>
    </Dialog>
  );
}

function NewLink({ flowId }: { readonly flowId: string }) {
  const client = useQueryClient();
  const [contents, setContents] = useState(false);
  const [days, setDays] = useState(USUAL);
  const add = useMutation({
    mutationFn: () => addShare(flowId, { contents, ...(days === USUAL ? {} : { days: Number(days) }) }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["shares"] }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    add.mutate();
  };
  const link = add.data === undefined ? null : addressOf(to("shared", add.data.token));
  return (
    <>
      <p>A link shows this flow, and nothing else, to anyone who has it: read-only and without a sign-in. Each use is written to the audit log.</p>
      <form onSubmit={submit} className={styles["form"]} aria-label="New link">
        <Select label="Valid for" choices={DURATIONS} value={days} onChange={setDays} testId="share-days" />
        <Checkbox checked={contents} onChange={setContents} testId="share-contents">
          With prompts, answers, arguments and results
        </Checkbox>
        <Button type="submit" look="main" isDisabled={add.isPending} testId="make-share">
          Make a link
        </Button>
      </form>
      {add.error !== null && <Notice kind="problem">{add.error.message}</Notice>}
      {link !== null && (
        <div className={styles["made"]}>
          <TextField label="The link. It is not shown again" value={link} isReadOnly testId="share-link" />
          <Button icon={Copy} onPress={() => copyText("Link", link)}>
            Copy
          </Button>
        </div>
      )}
    </>
  );
}
