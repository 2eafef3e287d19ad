/** What the live socket says; `docs/api.md` describes each message. */
export type ServerMessage =
  | { type: "hello"; name: string; heartbeat_seconds: number; server_time_ms: number; redis: "up" | "down" }
  | { type: "subscribed"; user_id: string | number; watched: boolean; expires_at: string | null; metadata_only?: boolean }
  | { type: "events"; user_id: string | number; events: unknown[]; cursor: string }
  | { type: "snapshot"; user_id: string | number; flow_id: string; events: unknown[]; truncated: boolean; cursor?: string | null }
  | { type: "flow"; user_id: string | number; flow_id: string; open: boolean }
  | { type: "process"; user_id: string | number; flow_id: string; process: string; alive: boolean }
  | { type: "usual"; user_id: string | number; p95_ns: Record<string, number> }
  | { type: "states"; user_id: string | number; flow_id: string; state: string; nodes: Record<string, string> }
  | { type: "missing"; user_id: string | number; flow_id: string; reason: string }
  | { type: "watch"; user_id: string | number; watched: boolean; expires_at: string | null; metadata_only?: boolean }
  | { type: "expiring"; user_id: string | number; expires_at: string; seconds_left: number }
  | { type: "unsubscribed"; user_id: string | number; reason: string }
  | { type: "resync"; user_id: string | number; reason: string }
  | { type: "state"; redis: "up" | "down" }
  | { type: "ping" }
  | { type: "pong" }
  | { type: "error"; code: string; detail: string; user_id?: string | number }
  | { type: "closing"; code: string; detail: string };

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
  /** Other rights than when the socket was opened: the page must start anew. */
  | "rights-changed"
  | "refused";
