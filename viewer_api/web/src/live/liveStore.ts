import { applied } from "./applied";
import { LiveConnection, type Surroundings } from "./connection";
import { LiveFlows } from "./liveFlows";
import type { ConnectionState, ServerMessage } from "./messages";
import { Redraws, type RedrawSurroundings } from "./redraws";
import { keyIn, keyOf, userTopic, type Topic } from "./topic";

/** How the connection is doing; a new object whenever that has changed. */
export interface LiveSnapshot {
  readonly state: ConnectionState;
  /** What the server refused last, in its words. */
  readonly problem: string | null;
  /** While it reconnects: when it tries next, by this computer's clock. */
  readonly retryAtMs: number | null;
}

/** Everything live on the page: one connection, and the flows of each topic that is followed. Components subscribe to it. */
export class LiveStore {
  private readonly connection: LiveConnection;
  private readonly topics = new Map<string, LiveFlows>();
  private readonly followers = new Map<string, number>();
  private readonly listeners = new Set<() => void>();
  private snapshot: LiveSnapshot = { state: "idle", problem: null, retryAtMs: null };
  /** How far the viewer's clock is ahead of this computer's. */
  private clockOffsetMs = 0;
  private readonly topicListeners = new Map<string, Set<() => void>>();
  private readonly redraws: Redraws;
  private readonly watchListeners = new Set<() => void>();

  constructor(
    private readonly surroundings: Surroundings & RedrawSurroundings & { now(): number },
  ) {
    this.redraws = new Redraws(surroundings);
    this.connection = new LiveConnection(surroundings, {
      onMessage: (message) => this.take(message),
      onState: (state) => this.change(state === "reconnecting" ? { state } : { state, retryAtMs: null }),
      onRetry: (inMs) => this.change({ retryAtMs: surroundings.now() + inMs }),
    });
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** `listener` hears when the flows of a topic are to be drawn anew; gives the function that stops it. */
  subscribeTo(topic: Topic, listener: () => void): () => void {
    const key = keyOf(topic);
    const listeners = this.topicListeners.get(key) ?? new Set();
    this.topicListeners.set(key, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0) return;
      this.topicListeners.delete(key);
      this.redraws.forget(key);
    };
  }

  /** Whether what shows a topic is in view; what is not is drawn less often. */
  setSeen(topic: Topic, seen: boolean): void {
    this.redraws.setSeen(keyOf(topic), seen);
  }

  /** `listener` hears when a watch begins, is extended or ends; gives the function that stops it. */
  onWatchChange(listener: () => void): () => void {
    this.watchListeners.add(listener);
    return () => this.watchListeners.delete(listener);
  }

  readonly getSnapshot = (): LiveSnapshot => this.snapshot;

  /** Now, by the viewer's clock: spans are timed by servers, whatever this computer's clock says. */
  readonly nowMs = (): number => this.surroundings.now() + this.clockOffsetMs;

  flowsOf(topic: Topic): LiveFlows {
    return this.flowsAt(keyOf(topic));
  }

  /** Follow as long as a component needs it; returns the function that stops. */
  follow(topic: Topic): () => void {
    const key = keyOf(topic);
    this.followers.set(key, (this.followers.get(key) ?? 0) + 1);
    this.connection.follow(topic);
    return () => {
      const left = (this.followers.get(key) ?? 1) - 1;
      this.followers.set(key, left);
      if (left > 0) return;
      this.followers.delete(key);
      this.topics.delete(key);
      this.connection.unfollow(topic);
    };
  }

  /** Ask once more for a user whom the viewer would not let us follow: a watch may have begun meanwhile. */
  renew(userId: string): void {
    const key = keyOf(userTopic(userId));
    if (this.followers.has(key) && this.flowsAt(key).ended !== undefined) this.connection.renew(key);
  }

  /** Entries that were read from the archive merge with live events in any order. */
  addEntries(topic: Topic, flowId: string, entries: readonly unknown[], open: boolean): void {
    const flow = this.flowsOf(topic).flow(flowId);
    flow.addAll(entries);
    flow.open = open;
    this.changed(keyOf(topic));
  }

  close(): void {
    this.connection.close();
    this.topics.clear();
    this.followers.clear();
  }

  private flowsAt(key: string): LiveFlows {
    let flows = this.topics.get(key);
    if (flows === undefined) {
      flows = new LiveFlows();
      this.topics.set(key, flows);
    }
    return flows;
  }

  private take(message: ServerMessage): void {
    if (message.type === "hello") {
      this.clockOffsetMs = message.server_time_ms - this.surroundings.now();
      return;
    }
    if (message.type === "error") this.change({ problem: message.detail });
    const key = keyIn(message);
    // Else it was in flight when no component needed it any more.
    if (key === undefined || !this.followers.has(key)) return;
    const flows = this.flowsAt(key);
    if (applied(flows, message, this.nowMs)) {
      this.changed(key);
      return;
    }
    switch (message.type) {
      case "resync":
        // What came until now lacked what was said, and everything comes again.
        if (message.reason !== "contents_shown") return;
        flows.flows.clear();
        break;
      case "subscribed":
        flows.ended = undefined;
        break;
      case "unsubscribed":
        flows.ended = message.reason;
        this.watchChanged();
        break;
      case "watch":
        if (message.watched && flows.ended !== undefined) this.connection.renew(key);
        this.watchChanged();
        return;
      case "error":
        flows.ended = message.code;
        break;
      default:
        return;
    }
    this.changed(key);
  }

  private watchChanged(): void {
    for (const listener of this.watchListeners) listener();
  }

  private changed(key: string): void {
    if (!this.followers.has(key)) return;
    this.flowsAt(key).version++;
    this.redraws.ask(key, () => {
      for (const listener of this.topicListeners.get(key) ?? []) listener();
    });
  }

  private change(part: Partial<LiveSnapshot>): void {
    this.snapshot = { ...this.snapshot, ...part };
    for (const listener of this.listeners) listener();
  }
}
