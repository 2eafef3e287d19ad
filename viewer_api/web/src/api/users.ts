import type { ConversationHead } from "./conversations";
import type { FlowSummary } from "./flows";
import { call } from "./http";

export interface Share {
  readonly name: string;
  readonly flows: number;
}

export interface UserTotals {
  readonly flows: number;
  /** There were more flows than are added up. */
  readonly partial: boolean;
  readonly errors: number;
  readonly denied: number;
  readonly cancelled: number;
  readonly interrupted: number;
  readonly denied_by_gate: Readonly<Record<string, number>>;
  readonly tokens_input: number;
  readonly tokens_output: number;
  readonly cost: number | null;
  readonly sessions: number;
  readonly conversations: number;
  readonly p50_ms: number | null;
  readonly p95_ms: number | null;
  readonly tools: readonly Share[];
  readonly models: readonly Share[];
  readonly mcp_servers: readonly Share[];
  readonly sources: readonly Share[];
}

export interface UserDocument {
  readonly user_id: string | number;
  readonly email: string | null;
  readonly full_name: string | null;
  readonly team: string | null;
  readonly first_seen: string | null;
  readonly last_seen: string | null;
  /** Null while Redis does not say. */
  readonly running_flows: number | null;
  readonly totals: UserTotals;
  readonly recent_flows: readonly FlowSummary[];
  readonly recent_conversations: readonly ConversationHead[];
  /** Missing for who may not know who is watched; null for who is not watched. */
  readonly watch?: { readonly expires_at: string | null; readonly reason: string | null; readonly by: string | null } | null;
}

export function readUser(userId: string, since: string, signal: AbortSignal): Promise<UserDocument> {
  return call<UserDocument>(`users/${encodeURIComponent(userId)}`, { query: { since }, signal });
}
