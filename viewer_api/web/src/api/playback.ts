import type { ServerMessage } from "../live/messages";
import { call, Problem } from "./http";

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
  /** Which recording this is a page of. */
  readonly recording: string;
  readonly total: number;
  readonly messages: readonly TimedMessage[];
  readonly next: number | null;
}

const PAGE = 5_000;

function readPage(played: Played, first: number, recording: string | null, signal: AbortSignal): Promise<PlaybackPage> {
  return call("playback", { query: { ...played, first, limit: PAGE, ...(recording === null ? {} : { recording }) }, signal });
}

const ATTEMPTS = 5;

/** All pages of one recording. What runs, or is stored meanwhile, moves its messages: then it is read again. */
export async function readPlayback(played: Played, signal: AbortSignal, attempts = ATTEMPTS): Promise<PlaybackPage> {
  const messages: TimedMessage[] = [];
  try {
    for (let first = 0, recording: string | null = null; ; ) {
      const page = await readPage(played, first, recording, signal);
      messages.push(...page.messages);
      if (page.next === null) return { ...page, messages };
      first = page.next;
      recording = page.recording;
    }
  } catch (error) {
    if (error instanceof Problem && error.code === "playback_changed" && attempts > 1) return readPlayback(played, signal, attempts - 1);
    throw error;
  }
}
