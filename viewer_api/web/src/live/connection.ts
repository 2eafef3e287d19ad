import type { ConnectionState, ServerMessage } from "./messages";

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
 * The one live socket, for any number of users. It reconnects by itself and goes on from each user's newest cursor, so
 * that nothing is missing and nothing comes twice.
 */
export class LiveConnection {
  private socket: Socket | undefined;
  private state: ConnectionState = "idle";
  private pauseMs = FIRST_PAUSE_MS;
  private heartbeatMs = 15_000;
  private cancelTimer = () => {};
  private readonly cursors = new Map<string, string | undefined>();

  constructor(
    private readonly surroundings: Surroundings,
    private readonly listener: Listener,
  ) {}

  follow(userId: string): void {
    if (this.cursors.has(userId)) return;
    this.cursors.set(userId, undefined);
    if (this.state === "idle") this.connect();
    else if (this.isOpen()) this.subscribe(userId);
  }

  unfollow(userId: string): void {
    if (!this.cursors.delete(userId)) return;
    if (this.cursors.size === 0) this.stop("idle");
    else if (this.isOpen()) this.send({ type: "unsubscribe", user_id: userId });
  }

  /** Follow the user again, after the server ended the subscription. */
  renew(userId: string): void {
    if (this.cursors.has(userId) && this.isOpen()) this.subscribe(userId);
  }

  close(): void {
    this.cursors.clear();
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
        for (const userId of this.cursors.keys()) this.subscribe(userId);
        return;
      case "ping":
        this.send({ type: "pong" });
        return;
      case "state":
        this.setState(message.redis === "up" ? "live" : "interrupted");
        return;
      case "events":
      case "snapshot":
        if (this.cursors.has(String(message.user_id)) && typeof message.cursor === "string") {
          this.cursors.set(String(message.user_id), message.cursor);
        }
        break;
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
    this.cancelTimer = this.surroundings.later(() => this.connect(), pause);
  }

  /** Something must come within this time, or the line is dead although nobody said so. */
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

  private subscribe(userId: string): void {
    const cursor = this.cursors.get(userId);
    this.send({ type: "subscribe", user_id: userId, ...(cursor === undefined ? {} : { cursor }) });
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
