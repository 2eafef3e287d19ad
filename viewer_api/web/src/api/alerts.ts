import { call } from "./http";

export interface Condition {
  readonly kind: string;
  /** From which value on it is reached. */
  readonly alert: number;
  readonly warning?: number | null;
  readonly window_seconds?: number;
  readonly min_samples?: number;
  readonly [more: string]: unknown;
}

export type RuleFilters = Readonly<Record<string, readonly (string | number)[]>>;

/** What somebody who makes a rule says. */
export interface Definition {
  readonly name: string;
  readonly condition: Condition;
  readonly filters: RuleFilters;
  readonly for_seconds: number;
  readonly channels: readonly string[];
}

export interface Rule extends Definition {
  readonly rule_id: string;
  readonly enabled: boolean;
  readonly version: number;
  readonly unit: string;
  readonly state: string;
  readonly level: string | null;
  readonly since: string | null;
  readonly value: number | null;
  readonly threshold: number | null;
  readonly flow_ids: readonly string[];
  /** A search for the flows behind the value. */
  readonly flows: string | null;
  readonly problem: string | null;
  readonly evaluated_at: string | null;
  readonly snoozed_until: string | null;
  readonly created_by: string;
  readonly [more: string]: unknown;
}

export interface AlertEvent {
  readonly event_id: number;
  readonly rule_id: string;
  readonly name: string;
  readonly at: string;
  readonly kind: string;
  readonly level: string | null;
  readonly value: number | null;
  readonly threshold: number | null;
  readonly unit: string;
  readonly flows: string | null;
  /** Of a rule about losses: who lost how much, and why, the most first. */
  readonly losses: readonly { readonly service: string | null; readonly process: string; readonly kind: string; readonly cause: string; readonly number: number }[];
}

export interface Preview {
  readonly since: string;
  readonly until: string;
  readonly shortened: boolean;
  readonly flows: number;
  readonly fired: number;
  readonly notifications: number;
  readonly active_seconds: number;
  readonly without_data: number;
  readonly events: readonly { readonly at: string; readonly kind: string; readonly level: string | null; readonly value: number | null }[];
}

export interface Delivery {
  readonly delivery_id: string;
  readonly rule_id: string | null;
  readonly channel: string;
  readonly kind: string;
  readonly created_at: string;
  readonly attempts: number;
  readonly outcome: string;
  readonly problem: string | null;
  readonly due_at: string | null;
}

export interface Channel {
  readonly channel_id: string;
  readonly name: string;
  readonly kind: string;
  readonly origin: string | null;
  readonly tag: string | null;
  readonly enabled: boolean;
}

export interface Channels {
  readonly channels: readonly Channel[];
  readonly kinds: readonly { readonly kind: string; readonly problem: string | null }[];
}

export const listRules = async (signal: AbortSignal) => (await call<{ readonly rules: readonly Rule[] }>("alerts", { signal })).rules;
export const listEvents = async (signal: AbortSignal) =>
  (await call<{ readonly events: readonly AlertEvent[] }>("alerts/events", { query: { limit: 30 }, signal })).events;
export const listDeliveries = async (signal: AbortSignal) =>
  (await call<{ readonly deliveries: readonly Delivery[] }>("alerts/deliveries", { query: { limit: 30 }, signal })).deliveries;
export const listChannels = (signal: AbortSignal) => call<Channels>("alerts/channels", { signal });

const DAY_MS = 86_400_000;

/** How often a rule would have fired in the last days; nothing is stored or sent. */
export const previewRule = (definition: Definition, days: number) =>
  call<Preview>("alerts/preview", { method: "POST", body: { ...definition, since: new Date(Date.now() - days * DAY_MS).toISOString() } });

export const addRule = (definition: Definition) => call<Rule>("alerts", { method: "POST", body: definition });

/** All that a rule is made of; what this page does not change stays as it is. */
const wholeOf = (rule: Rule) => {
  const parts = ["name", "condition", "filters", "for_seconds", "resolve_seconds", "cooldown_seconds", "flapping_changes", "flapping_seconds", "no_data", "channels", "enabled"];
  return Object.fromEntries(parts.map((name) => [name, rule[name]]));
};

export const changeRule = (rule: Rule, change: Partial<Definition> & { readonly enabled?: boolean }) =>
  call<Rule>(`alerts/${rule.rule_id}`, { method: "PUT", body: { ...wholeOf(rule), version: rule.version, ...change } });

/** The same rule once more, after it was removed. */
export const restoreRule = (rule: Rule) => call<Rule>("alerts", { method: "POST", body: wholeOf(rule) });

export const deleteRule = (ruleId: string) => call(`alerts/${ruleId}`, { method: "DELETE" });
export const snoozeRule = (ruleId: string, seconds: number) => call<Rule>(`alerts/${ruleId}/snooze`, { method: "POST", body: { seconds } });

export interface NewChannel {
  readonly kind: string;
  readonly name: string;
  readonly url?: string;
  readonly tag?: string;
}

/** The answer has the secret of a webhook, this once. */
export const addChannel = (channel: NewChannel) => call<Channel & { readonly secret?: string }>("alerts/channels", { method: "POST", body: channel });
export const deleteChannel = (channelId: string) => call(`alerts/channels/${channelId}`, { method: "DELETE" });
export const testChannel = (channelId: string) =>
  call<{ readonly delivered: boolean; readonly problem: string | null }>(`alerts/channels/${channelId}/test`, { method: "POST" });
