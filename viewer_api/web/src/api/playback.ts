import type { ServerMessage } from "../live/messages";
import { call } from "./http";

/** What is played: a flow, a conversation, or what a user did in a time. */
export type Played =
  | { readonly flow_id: string }
  | { readonly conversation_id: string }
  | { readonly user_id: string; readonly since?: string; readonly until?: string };

export interface TimedMessage {
  /** Since the first one. */
  readonly at_ms: number;
  readonly message: ServerMessage;
}

export interface PlaybackPage {
  /** Null where there is nothing. */
  readonly started_ns: string | null;
  readonly duration_ms: number;
  readonly flows: readonly string[];
  readonly total: number;
  readonly messages: readonly TimedMessage[];
  readonly next: number | null;
}

const PAGE = 5_000;

export function readPlayback(played: Played, first: number, signal: AbortSignal): Promise<PlaybackPage> {
  return call("playback", { query: { ...played, first, limit: PAGE }, signal });
}
