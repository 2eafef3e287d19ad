import type { ConnectionState, ServerMessage } from "./messages";
import { keyIn, keyOf, type Topic } from "./topic";

/** The part of a WebSocket that is used; tests bring their own. */
export interface Socket {
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(data: string): void;
  close(): void;
}

export interface Surroundings {
  open(): Socket;
  /** Calls back later; gives a function that cancels. */
  later(callback: () => void, ms: number): () => void;
  random(): number;
}

export interface Listener {
  onMessage(message: ServerMessage): void;
  onState(state: ConnectionState): void;
  /** The connection is lost; the next attempt comes after so long. */
  onRetry?(inMs: number): void;
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
const CONNECT_MS = 10_000;
/** So many heartbeats may be missed before the line counts as dead. */
const MISSED_HEARTBEATS = 2.5;
const NOT_SIGNED_IN = 4401;
const FORBIDDEN = 4403;
const RIGHTS_CHANGED = 4409;
const FINAL: Readonly<Record<number, ConnectionState>> = {
  [NOT_SIGNED_IN]: "signed-out",
  [FORBIDDEN]: "refused",
  [RIGHTS_CHANGED]: "rights-changed",
};

/**
 * The one live socket, for any number of topics. It reconnects by itself and goes on from each one's newest cursor, so
 * that nothing is missing and nothing comes twice.
 */
export class LiveConnection {
  private socket: Socket | undefined;
  private state: ConnectionState = "idle";
  private pauseMs = FIRST_PAUSE_MS;
  private heartbeatMs = 15_000;
  private cancelTimer = () => {};
  private readonly topics = new Map<string, { readonly topic: Topic; cursor?: string }>();

  constructor(
    private readonly surroundings: Surroundings,
    private readonly listener: Listener,
  ) {}

  follow(topic: Topic): void {
    const key = keyOf(topic);
    if (this.topics.has(key)) return;
    this.topics.set(key, { topic });
    if (this.state === "idle") this.connect();
    else if (this.isOpen()) this.subscribe(key);
  }

  unfollow(topic: Topic): void {
    if (!this.topics.delete(keyOf(topic))) return;
    if (this.topics.size === 0) this.stop("idle");
    else if (this.isOpen()) this.send({ type: "unsubscribe", [topic.field]: topic.id });
  }

  /** Follow again, after the server ended the subscription. */
  renew(key: string): void {
    if (this.topics.has(key) && this.isOpen()) this.subscribe(key);
  }

  close(): void {
    this.topics.clear();
    this.stop("idle");
  }

  private isOpen(): boolean {
    return this.state === "live" || this.state === "interrupted";
  }

  private connect(): void {
    this.setState(this.state === "reconnecting" ? "reconnecting" : "connecting");
    const socket = this.surroundings.open();
    this.socket = socket;
    this.expect(CONNECT_MS);
    socket.onmessage = ({ data }) => {
      if (socket === this.socket) this.receive(data);
    };
    socket.onclose = ({ code }) => {
      if (socket === this.socket) this.closed(code);
    };
  }

  private receive(data: unknown): void {
    const message = parsed(data);
    if (message === undefined) return;
    this.expect(this.heartbeatMs * MISSED_HEARTBEATS);
    switch (message.type) {
      case "hello":
        this.heartbeatMs = message.heartbeat_seconds * 1000;
        this.pauseMs = FIRST_PAUSE_MS;
        this.listener.onMessage(message);
        this.setState(message.redis === "up" ? "live" : "interrupted");
        for (const key of this.topics.keys()) this.subscribe(key);
        return;
      case "ping":
        this.send({ type: "pong" });
        return;
      case "state":
        this.setState(message.redis === "up" ? "live" : "interrupted");
        return;
      case "events":
      case "snapshot": {
        const followed = this.topics.get(keyIn(message) ?? "");
        if (followed !== undefined && typeof message.cursor === "string") followed.cursor = message.cursor;
        break;
      }
    }
    this.listener.onMessage(message);
  }

  private closed(code: number): void {
    const final = FINAL[code];
    if (final !== undefined) {
      this.stop(final);
      return;
    }
    this.forget();
    this.setState("reconnecting");
    // Half of the pause is random: many pages must not come back at the same moment.
    const pause = this.pauseMs * (0.5 + this.surroundings.random() / 2);
    this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_PAUSE_MS);
    this.listener.onRetry?.(pause);
    this.cancelTimer = this.surroundings.later(() => this.connect(), pause);
  }

  /** Something must come within this time, or the connection is silently dead. */
  private expect(ms: number): void {
    this.cancelTimer();
    this.cancelTimer = this.surroundings.later(() => {
      this.socket?.close();
      this.closed(1006);
    }, ms);
  }

  private stop(state: ConnectionState): void {
    this.forget();
    this.pauseMs = FIRST_PAUSE_MS;
    this.setState(state);
  }

  private forget(): void {
    this.cancelTimer();
    const socket = this.socket;
    this.socket = undefined;
    socket?.close();
  }

  private subscribe(key: string): void {
    const followed = this.topics.get(key);
    if (followed === undefined) return;
    const { topic, cursor } = followed;
    this.send({
      type: "subscribe",
      [topic.field]: topic.id,
      ...(topic.reason === undefined ? {} : { reason: topic.reason }),
      ...(cursor === undefined ? {} : { cursor }),
    });
  }

  private send(message: unknown): void {
    this.socket?.send(JSON.stringify(message));
  }

  private setState(state: ConnectionState): void {
    if (state === this.state) return;
    this.state = state;
    this.listener.onState(state);
  }
}

function parsed(data: unknown): ServerMessage | undefined {
  if (typeof data !== "string") return undefined;
  try {
    const message: unknown = JSON.parse(data);
    return typeof message === "object" && message !== null && "type" in message ? (message as ServerMessage) : undefined;
  } catch {
    return undefined;
  }
}
