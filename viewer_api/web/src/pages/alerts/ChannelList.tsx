import { useMutation } from "@tanstack/react-query";
import { Send, Trash2 } from "lucide-react";
import { useState, type FormEvent } from "react";
import { addChannel, deleteChannel, testChannel, type Channels } from "../../api/alerts";
import { Button, IconButton } from "../../ui/Button";
import { Select, TextField } from "../../ui/Field";
import { Notice } from "../../ui/Notice";
import { Table } from "../../ui/Page";
import { tell } from "../../ui/tell";
import styles from "./AlertsPage.module.css";

interface Props {
  readonly channels: Channels;
  readonly onChanged: () => void;
}

/** How alerts reach somebody: each channel can be tried. */
export function ChannelList({ channels: { channels, kinds }, onChanged }: Props) {
  const act = useMutation({ mutationFn: (ask: () => Promise<unknown>) => ask(), onSuccess: onChanged });
  const attempt = useMutation({ mutationFn: testChannel, onSuccess: onChanged });
  return (
    <>
      {(act.error ?? attempt.error) !== null && <Notice kind="problem">{(act.error ?? attempt.error)?.message}</Notice>}
      {attempt.data !== undefined && (
        <Notice kind={attempt.data.delivered ? "info" : "problem"} testId="channel-tested">
          {attempt.data.delivered ? "The test message was delivered." : `The test message was not delivered: ${attempt.data.problem ?? "no reason was given"}`}
        </Notice>
      )}
      {channels.length === 0 ? (
        <p className="quiet">No channel yet. Without one, alerts are only shown here and sent to live clients.</p>
      ) : (
        <Table label="Channels" head={["Name", "Kind", "Goes to", "Actions"]}>
          {channels.map((channel) => (
            <tr key={channel.channel_id} data-testid="channel">
              <td className={styles["wide"]}>
                {channel.name}
                {!channel.enabled && <span className="quiet"> (switched off)</span>}
              </td>
              <td>{channel.kind}</td>
              <td>{channel.origin ?? channel.tag ?? (channel.kind === "log" ? "the viewer’s log" : "–")}</td>
              <td>
                <span className={styles["buttons"]}>
                  <Button icon={Send} isDisabled={attempt.isPending} onPress={() => attempt.mutate(channel.channel_id)} testId="test-channel">
                    Test
                  </Button>
                  <IconButton
                    icon={Trash2}
                    label={`Remove ${channel.name}`}
                    onPress={() => act.mutate(() => deleteChannel(channel.channel_id), { onSuccess: () => tell(`The channel “${channel.name}” is removed.`) })}
                  />
                </span>
              </td>
            </tr>
          ))}
        </Table>
      )}
      <AddChannel kinds={kinds} onChanged={onChanged} />
    </>
  );
}

function AddChannel({ kinds, onChanged }: { readonly kinds: Channels["kinds"]; readonly onChanged: () => void }) {
  const [kind, setKind] = useState("webhook");
  const [name, setName] = useState("");
  const [target, setTarget] = useState("");
  const add = useMutation({
    mutationFn: addChannel,
    onSuccess: () => {
      setName("");
      setTarget("");
      onChanged();
    },
  });
  const problem = kinds.find((each) => each.kind === kind)?.problem ?? null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const field = kind === "webhook" ? { url: target.trim() } : kind === "apprise" ? { tag: target.trim() } : {};
    add.mutate({ kind, name: name.trim(), ...field });
  };
  const ready = name.trim() !== "" && (kind === "log" || target.trim() !== "") && problem === null;
  return (
    <form onSubmit={submit} className={styles["add"]} aria-label="New channel">
      <Select label="Kind" choices={kinds.map((each) => ({ id: each.kind, text: each.kind }))} value={kind} onChange={setKind} testId="channel-kind" />
      <TextField label="Name" value={name} onChange={setName} testId="channel-name" />
      {kind !== "log" && <TextField label={kind === "webhook" ? "Address" : "Tag"} value={target} onChange={setTarget} testId="channel-target" />}
      <Button type="submit" isDisabled={!ready || add.isPending} testId="add-channel">
        Add channel
      </Button>
      {problem !== null && <p className="quiet">{problem}</p>}
      {add.error !== null && <Notice kind="problem">{add.error.message}</Notice>}
      {add.data?.secret !== undefined && (
        <Notice testId="channel-secret">
          Its messages are signed with <code>{add.data.secret}</code>. It is not shown again.
        </Notice>
      )}
    </form>
  );
}
