import type { Query } from "../navigation/route";
import type { FlowSummary } from "./flows";
import { call } from "./http";

export interface ConversationHead {
  readonly conversation_id: string | number;
  readonly user_id: string | number | null;
  readonly email: string | null;
  readonly full_name: string | null;
  /** The first words of the first message. */
  readonly title: string | null;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly duration_seconds: number | null;
  readonly total_activities: number;
  readonly tool_calls: number;
  readonly total_tokens: number;
  readonly estimated_cost: number | null;
  readonly mcp_servers: readonly string[];
}

/** Something that a person saw; a tool call has its response. */
export interface Activity {
  readonly activity_id: string;
  readonly activity_type: string;
  readonly activity_data: Readonly<Record<string, unknown>> | null;
  readonly created_at: string;
  readonly flow_id: string | null;
  readonly node_id: string | null;
  /** Of a call: what the tool answered; null while it did not. */
  readonly response?: Activity | null;
  readonly duration_ms?: number | null;
}

export interface Conversation extends ConversationHead {
  readonly open: boolean;
  readonly turns: readonly FlowSummary[];
  readonly turns_next: string | null;
  readonly activities: readonly Activity[];
  readonly next: string | null;
  readonly truncated: boolean;
}

export interface ConversationPage {
  readonly conversations: readonly ConversationHead[];
  readonly next: string | null;
  readonly count?: { readonly value: number; readonly kind: string };
}

const PAGE = 50;
const ACTIVITIES = 200;
const TURNS = 500;

export function listConversations(filters: Query, cursor: string | undefined, signal: AbortSignal): Promise<ConversationPage> {
  return call<ConversationPage>("conversations", { query: { ...filters, limit: PAGE, cursor }, signal });
}

/** A part of a conversation: activities from behind `cursor` on. */
export function readConversation(id: string, cursor: string | undefined, signal: AbortSignal): Promise<Conversation> {
  return call<Conversation>(`conversations/${encodeURIComponent(id)}`, {
    query: { limit: ACTIVITIES, turns_limit: TURNS, cursor },
    signal,
  });
}
