import { useMutation } from "@tanstack/react-query";
import { BellOff, BellRing, Pencil, Power, Trash2 } from "lucide-react";
import { changeRule, deleteRule, restoreRule, snoozeRule, type Channel, type Rule } from "../../api/alerts";
import { Ago } from "../../components/Ago";
import { dateTime } from "../../format";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { Button, IconButton } from "../../ui/Button";
import { Chip, Chips } from "../../ui/Chip";
import { Notice } from "../../ui/Notice";
import { Menu } from "../../ui/Overlay";
import { tell } from "../../ui/tell";
import { flowsAt } from "../flows/filters";
import { sentence, thresholdText, valueWords } from "./words";
import styles from "./AlertsPage.module.css";

interface Props {
  readonly rule: Rule;
  readonly channels: readonly Channel[];
  readonly onEdit: () => void;
  readonly onChanged: () => void;
}

const STATES: Readonly<Record<string, { readonly sign: string; readonly text: string }>> = {
  new: { sign: "…", text: "not evaluated yet" },
  ok: { sign: "✓", text: "ok" },
  pending: { sign: "◔", text: "about to fire" },
  firing: { sign: "▲", text: "firing" },
  resolving: { sign: "◕", text: "about to be resolved" },
  flapping: { sign: "≈", text: "flapping" },
  no_data: { sign: "–", text: "not enough data" },
  snoozed: { sign: "z", text: "snoozed" },
  disabled: { sign: "○", text: "switched off" },
};

const SNOOZES = [
  { id: "900", text: "15 minutes" },
  { id: "3600", text: "1 hour" },
  { id: "28800", text: "8 hours" },
  { id: "86400", text: "1 day" },
] as const;

/** One rule: what it says, how it stands, and what can be done about it. */
export function RuleCard({ rule, channels, onEdit, onChanged }: Props) {
  const act = useMutation({ mutationFn: (ask: () => Promise<unknown>) => ask(), onSuccess: onChanged });
  const state = STATES[rule.state] ?? { sign: "–", text: rule.state };
  const remove = () =>
    act.mutate(() => deleteRule(rule.rule_id), {
      onSuccess: () => tell(`The rule “${rule.name}” is removed.`, () => act.mutate(() => restoreRule(rule))),
    });
  return (
    <article className={styles["rule"]} data-testid="rule" data-state={rule.state} data-level={rule.level}>
      <header className={styles["head"]}>
        <span className={styles["state"]} data-testid="rule-state">
          <span aria-hidden="true">{state.sign}</span> {state.text}
          {rule.level === "warning" && " (warning)"}
        </span>
        <h2>{rule.name}</h2>
        <span className={styles["buttons"]}>
          {rule.state === "snoozed" ? (
            <Button icon={BellRing} onPress={() => act.mutate(() => snoozeRule(rule.rule_id, 0))} testId="wake">
              Wake
            </Button>
          ) : (
            rule.enabled && (
              <Menu label={`Snooze ${rule.name}`} entries={SNOOZES.map(({ id, text }) => ({ id, text: `for ${text}`, onAction: () => act.mutate(() => snoozeRule(rule.rule_id, Number(id))) }))}>
                <IconButton icon={BellOff} label={`Snooze ${rule.name}`} testId="snooze" />
              </Menu>
            )
          )}
          <IconButton
            icon={Power}
            label={rule.enabled ? `Switch ${rule.name} off` : `Switch ${rule.name} on`}
            aria-pressed={rule.enabled}
            onPress={() => act.mutate(() => changeRule(rule, { enabled: !rule.enabled }))}
            testId="switch-rule"
          />
          <IconButton icon={Pencil} label={`Change ${rule.name}`} onPress={onEdit} testId="edit-rule" />
          <IconButton icon={Trash2} label={`Remove ${rule.name}`} onPress={remove} testId="remove-rule" />
        </span>
      </header>
      <p data-testid="rule-words">{sentence(rule)}</p>
      {act.error !== null && <Notice kind="problem">{act.error.message}</Notice>}
      {rule.problem !== null && <Notice kind="problem">It could not be evaluated: {rule.problem}</Notice>}
      <p className={styles["facts"]}>
        {rule.value !== null && (
          <span>
            now {valueWords(rule.value, rule.unit)}
            {rule.threshold !== null && <span>, threshold {thresholdText(rule.threshold, rule.unit)}</span>}
          </span>
        )}
        {rule.since !== null && rule.state !== "ok" && (
          <span>
            since <Ago iso={rule.since} />
          </span>
        )}
        {rule.snoozed_until !== null && <span>until {dateTime(rule.snoozed_until)}</span>}
        {rule.flow_ids.length > 0 &&
          (rule.flows === null ? (
            <Link to={to("flow", rule.flow_ids[0] ?? "")}>Show the flow</Link>
          ) : (
            <Link to={flowsAt(rule.flows)} testId="rule-flows">
              {rule.flow_ids.length === 1 ? "Show the flow" : "Show the flows"}
            </Link>
          ))}
        {rule.evaluated_at !== null && (
          <span>
            checked <Ago iso={rule.evaluated_at} />
          </span>
        )}
        <span>by {rule.created_by}</span>
      </p>
      {rule.channels.length > 0 && (
        <Chips>
          <span className="quiet">Notifies</span>
          {rule.channels.map((id) => (
            <Chip key={id}>{channels.find(({ channel_id }) => channel_id === id)?.name ?? "a channel"}</Chip>
          ))}
        </Chips>
      )}
    </article>
  );
}
