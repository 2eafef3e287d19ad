/** What the live socket says; `docs/api.md` describes each message. */
export type ServerMessage =
  | { type: "hello"; name: string; heartbeat_seconds: number; server_time_ms: number; redis: "up" | "down" }
  | (About & { type: "subscribed"; watched: boolean; expires_at: string | null; metadata_only?: boolean })
  | (About & { type: "events"; events: unknown[]; cursor: string })
  | (About & { type: "snapshot"; flow_id: string; events: unknown[]; truncated: boolean; cursor?: string | null })
  | (About & { type: "flow"; flow_id: string; open: boolean })
  | (About & { type: "process"; flow_id: string; process: string; alive: boolean })
  | (About & { type: "usual"; p95_ns: Record<string, number> })
  | (About & { type: "states"; flow_id: string; state: string; nodes: Record<string, string> })
  | (About & { type: "missing"; flow_id: string; reason: string })
  | (About & { type: "watch"; watched: boolean; expires_at: string | null; metadata_only?: boolean })
  | (About & { type: "expiring"; expires_at: string; seconds_left: number })
  | (About & { type: "unsubscribed"; reason: string })
  | (About & { type: "resync"; reason: string })
  | { type: "state"; redis: "up" | "down" }
  | { type: "ping" }
  | { type: "pong" }
  | (About & { type: "error"; code: string; detail: string })
  | { type: "closing"; code: string; detail: string };

/** Messages about a user have `user_id`, those about a flow that is followed by itself only `flow_id`. */
interface About {
  user_id?: string | number;
  flow_id?: string;
}

/** How the one socket is doing, in words for people. */
export type ConnectionState =
  /** No user is chosen, so no socket is needed. */
  | "idle"
  | "connecting"
  | "live"
  /** The viewer is there, but its Redis is not: nothing new comes, nothing is lost. */
  | "interrupted"
  | "reconnecting"
  | "signed-out"
  /** Other rights than when the socket was opened: the page must start again. */
  | "rights-changed"
  | "refused";
