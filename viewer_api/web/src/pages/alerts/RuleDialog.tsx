import { useMutation } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { addRule, changeRule, previewRule, type Channel, type Condition, type Definition, type Rule } from "../../api/alerts";
import { Button } from "../../ui/Button";
import { Checkbox, Select, TextField } from "../../ui/Field";
import { Notice } from "../../ui/Notice";
import { Dialog } from "../../ui/Dialog";
import { PreviewResult } from "./PreviewResult";
import { KINDS, sentence, STEP_KINDS, STEP_TIMES, type Kind } from "./words";
import styles from "./AlertsPage.module.css";

interface Props {
  /** Null for a new one. */
  readonly rule: Rule | null;
  readonly channels: readonly Channel[];
  readonly onClose: () => void;
  readonly onSaved: () => void;
}

const FILTERS = [
  { name: "user_id", text: "User ids" },
  { name: "tool", text: "Tools" },
  { name: "checkpoint", text: "Types of step" },
  { name: "step", text: "Steps (type:name)" },
  { name: "mcp_server", text: "MCP servers" },
  { name: "model", text: "Models" },
  { name: "source", text: "Sources" },
] as const;
/** A name of a step may have a comma in it: another step begins with its type. */
const BETWEEN: Readonly<Record<string, RegExp>> = { step: /,(?=\s*\w+:)/ };
const DAYS = 3;
const USUAL_SAMPLES = 20;
const OF_STEPS = "step_slower_than_usual";
/** The viewer takes no filters with these. */
const OF_ALL_FLOWS = ["losses", OF_STEPS];

interface Form {
  readonly name: string;
  readonly kind: string;
  readonly alert: string;
  readonly warning: string;
  readonly minutes: string;
  readonly samples: string;
  readonly patience: string;
  /** Of a rule about steps: what they have in common, and which of it; and what of them is compared. */
  readonly by: string;
  readonly of: string;
  readonly step: string;
  readonly filters: Readonly<Record<string, string>>;
  readonly channels: readonly string[];
}

/** Makes or changes a rule: it stands there in plain words, and says how often it would have fired. */
export function RuleDialog({ rule, channels, onClose, onSaved }: Props) {
  const [form, setForm] = useState(() => formOf(rule));
  const kind = KINDS.find(({ id }) => id === form.kind) ?? (KINDS[0] as Kind);
  const definition = definitionOf(form, kind, rule);
  const save = useMutation({ mutationFn: () => (rule === null ? addRule(definition) : changeRule(rule, definition)), onSuccess: onSaved });
  const preview = useMutation({ mutationFn: () => previewRule(definition, DAYS) });
  const set = (change: Partial<Form>) => {
    setForm({ ...form, ...change });
    preview.reset();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  const ready = form.name.trim() !== "" && definition.condition.alert > 0 && (kind.id !== OF_STEPS || form.step.trim() !== "");
  const grouping = STEP_KINDS.find(({ id }) => id === form.by) ?? STEP_KINDS[0];
  return (
    <Dialog title={rule === null ? "New rule" : `Change “${rule.name}”`} open onClose={onClose} wide testId="rule-dialog">
      <form onSubmit={submit} className={styles["form"]}>
        <div className={styles["fields"]}>
          <TextField label="Name" value={form.name} onChange={(name) => set({ name })} maxLength={200} testId="rule-name" autoFocus />
          <Select
            label="When"
            choices={KINDS}
            value={form.kind}
            onChange={(id) => set({ kind: id, alert: String(KINDS.find((each) => each.id === id)?.usual ?? ""), warning: "" })}
            testId="rule-kind"
          />
          {kind.id === OF_STEPS && (
            <>
              <Select label="Steps that have in common" choices={STEP_KINDS} value={form.by} onChange={(by) => set({ by })} testId="rule-by" />
              <TextField label={grouping.text} placeholder={grouping.example} value={form.step} onChange={(step) => set({ step })} maxLength={401} testId="rule-step" />
              <Select label="Compared" choices={STEP_TIMES} value={form.of} onChange={(of) => set({ of })} testId="rule-of" />
            </>
          )}
          <TextField label={kind.threshold} type="number" min={0} step="any" value={form.alert} onChange={(alert) => set({ alert })} testId="rule-alert" />
          <TextField label="Warn from (optional)" type="number" min={0} step="any" value={form.warning} onChange={(warning) => set({ warning })} testId="rule-warning" />
          {kind.window && <TextField label="Within (minutes)" type="number" min={1} step="any" value={form.minutes} onChange={(minutes) => set({ minutes })} />}
          {kind.samples !== undefined && (
            <TextField label={kind.samples} type="number" min={1} step="1" value={form.samples} onChange={(samples) => set({ samples })} testId="rule-samples" />
          )}
          <TextField label="For at least (seconds)" type="number" min={0} step="any" value={form.patience} onChange={(patience) => set({ patience })} />
        </div>
        {!OF_ALL_FLOWS.includes(kind.id) && (
          <details open={Object.values(form.filters).some((text) => text !== "")} className={styles["about"]}>
            <summary>Only some flows</summary>
            <div className={styles["fields"]}>
              {FILTERS.map(({ name, text }) => (
                <TextField key={name} label={text} value={form.filters[name] ?? ""} onChange={(value) => set({ filters: { ...form.filters, [name]: value } })} testId={`rule-${name}`} />
              ))}
            </div>
          </details>
        )}
        {channels.length > 0 && (
          <fieldset className={styles["channels"]}>
            <legend>Tell</legend>
            {channels.map(({ channel_id: id, name }) => (
              <Checkbox
                key={id}
                checked={form.channels.includes(id)}
                onChange={(on) => set({ channels: on ? [...form.channels, id] : form.channels.filter((other) => other !== id) })}
              >
                {name}
              </Checkbox>
            ))}
          </fieldset>
        )}
        <p className={styles["sentence"]} data-testid="rule-sentence">
          {sentence(definition)}
        </p>
        {preview.data !== undefined && <PreviewResult preview={preview.data} days={DAYS} />}
        {(save.error ?? preview.error) !== null && <Notice kind="problem">{(save.error ?? preview.error)?.message}</Notice>}
        <div className={styles["actions"]}>
          <Button onPress={() => preview.mutate()} isDisabled={!ready || preview.isPending} testId="preview-rule">
            {preview.isPending ? "Trying it…" : "How often would it have fired?"}
          </Button>
          <Button onPress={onClose}>Cancel</Button>
          <Button look="main" type="submit" isDisabled={!ready || save.isPending} testId="save-rule">
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function formOf(rule: Rule | null): Form {
  const kind = KINDS.find(({ id }) => id === rule?.condition.kind) ?? (KINDS[0] as Kind);
  const scaled = (value: number | null | undefined) => (value == null ? "" : String(Number((value / kind.scale).toPrecision(12))));
  return {
    name: rule?.name ?? "",
    kind: kind.id,
    alert: rule === null ? String(kind.usual) : scaled(rule.condition.alert),
    warning: scaled(rule?.condition.warning),
    minutes: String((rule?.condition.window_seconds ?? 300) / 60),
    samples: String(rule?.condition.min_samples ?? USUAL_SAMPLES),
    patience: String(rule?.for_seconds ?? 0),
    by: String(rule?.condition["by"] ?? "tool"),
    of: kind.id === OF_STEPS ? String(rule?.condition["of"] ?? "p95") : "p95",
    step: kind.id === OF_STEPS ? String(rule?.condition["name"] ?? "") : "",
    filters: Object.fromEntries(FILTERS.map(({ name }) => [name, (rule?.filters[name] ?? []).join(", ")])),
    channels: rule?.channels ?? [],
  };
}

function definitionOf(form: Form, kind: Kind, rule: Rule | null): Definition {
  const number = (text: string) => (text.trim() === "" ? null : Number(text));
  const warning = number(form.warning);
  // What this form does not show of a condition stays as it is, as long as the condition is of the same kind.
  const before: Partial<Condition> = rule?.condition.kind === kind.id ? rule.condition : {};
  return {
    name: form.name.trim(),
    condition: {
      ...before,
      kind: kind.id,
      alert: (number(form.alert) ?? 0) * kind.scale,
      warning: warning === null ? null : warning * kind.scale,
      ...(kind.id === OF_STEPS ? { by: form.by, name: form.step.trim(), of: form.of } : {}),
      ...(kind.samples !== undefined ? { min_samples: number(form.samples) ?? USUAL_SAMPLES } : {}),
      ...(kind.window ? { window_seconds: (number(form.minutes) ?? 5) * 60 } : {}),
    },
    filters:
      OF_ALL_FLOWS.includes(kind.id)
        ? {}
        : Object.fromEntries(
            FILTERS.flatMap(({ name }) => {
              const values = (form.filters[name] ?? "").split(BETWEEN[name] ?? ",").map((each) => each.trim()).filter((each) => each !== "");
              return values.length === 0 ? [] : [[name, values]];
            }),
          ),
    for_seconds: number(form.patience) ?? 0,
    channels: form.channels,
  };
}
