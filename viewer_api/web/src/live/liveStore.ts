import { LiveConnection, type Surroundings } from "./connection";
import { LiveFlows } from "./liveFlows";
import type { ConnectionState, ServerMessage } from "./messages";

/** What a component sees; a new object whenever something changed. */
export interface LiveSnapshot {
  readonly state: ConnectionState;
  readonly version: number;
  /** What the server refused last, in its words. */
  readonly problem: string | null;
}

/** Everything live on the page: one connection, and the flows of each followed user. Components subscribe to it. */
export class LiveStore {
  private readonly connection: LiveConnection;
  private readonly users = new Map<string, LiveFlows>();
  private readonly followers = new Map<string, number>();
  private readonly listeners = new Set<() => void>();
  private snapshot: LiveSnapshot = { state: "idle", version: 0, problem: null };
  /** How far the viewer's clock is ahead of this computer's. */
  private clockOffsetMs = 0;
  private announced = false;
  /** Called when somebody's watch began, was extended or ended. */
  onWatchChanged = () => {};

  constructor(
    private readonly surroundings: Surroundings & { now(): number; soon(callback: () => void): void },
  ) {
    this.connection = new LiveConnection(surroundings, {
      onMessage: (message) => this.take(message),
      onState: (state) => this.change({ state }),
    });
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly getSnapshot = (): LiveSnapshot => this.snapshot;

  /** Now, by the viewer's clock: spans are timed by servers, whatever this computer's clock says. */
  readonly nowMs = (): number => this.surroundings.now() + this.clockOffsetMs;

  flowsOf(userId: string): LiveFlows {
    let flows = this.users.get(userId);
    if (flows === undefined) {
      flows = new LiveFlows();
      this.users.set(userId, flows);
    }
    return flows;
  }

  /** Follow a user as long as somebody on the page wants it; gives the function that stops. */
  follow(userId: string): () => void {
    this.followers.set(userId, (this.followers.get(userId) ?? 0) + 1);
    this.connection.follow(userId);
    return () => {
      const left = (this.followers.get(userId) ?? 1) - 1;
      this.followers.set(userId, left);
      if (left > 0) return;
      this.followers.delete(userId);
      this.users.delete(userId);
      this.connection.unfollow(userId);
    };
  }

  /** Entries that were read from the archive merge with live events in any order. */
  addEntries(userId: string, flowId: string, entries: readonly unknown[], open: boolean): void {
    const flow = this.flowsOf(userId).flow(flowId);
    flow.addAll(entries);
    flow.open = open;
    this.changed(userId);
  }

  close(): void {
    this.connection.close();
    this.users.clear();
    this.followers.clear();
  }

  private take(message: ServerMessage): void {
    switch (message.type) {
      case "hello":
        this.clockOffsetMs = message.server_time_ms - this.surroundings.now();
        return;
      case "events":
        for (const event of message.events) this.addEvent(String(message.user_id), event);
        break;
      case "snapshot": {
        const flow = this.flowsOf(String(message.user_id)).flow(message.flow_id);
        flow.addAll(message.events);
        flow.truncated ||= message.truncated;
        break;
      }
      case "flow":
        this.flowsOf(String(message.user_id)).flow(message.flow_id).open = message.open;
        break;
      case "process":
        this.flowsOf(String(message.user_id)).flow(message.flow_id).setProcess(message.process, message.alive);
        break;
      case "resync":
        // What came until now lacked what was said, and everything comes anew.
        if (message.reason !== "contents_shown") return;
        this.flowsOf(String(message.user_id)).flows.clear();
        break;
      case "usual": {
        const usual = this.flowsOf(String(message.user_id)).usualP95Ns;
        for (const [step, p95Ns] of Object.entries(message.p95_ns)) usual.set(step, p95Ns);
        break;
      }
      case "subscribed":
        this.flowsOf(String(message.user_id)).ended = undefined;
        break;
      case "unsubscribed":
        this.flowsOf(String(message.user_id)).ended = message.reason;
        this.onWatchChanged();
        break;
      case "watch":
        if (message.watched && this.users.get(String(message.user_id))?.ended !== undefined) {
          this.connection.renew(String(message.user_id));
        }
        this.onWatchChanged();
        return;
      case "error":
        if (message.user_id !== undefined) this.flowsOf(String(message.user_id)).ended = message.code;
        this.change({ problem: message.detail });
        break;
      default:
        return;
    }
    if ("user_id" in message && message.user_id !== undefined) this.changed(String(message.user_id));
  }

  private addEvent(userId: string, event: unknown): void {
    const flowId = typeof event === "object" && event !== null && "flow_id" in event ? event.flow_id : undefined;
    if (typeof flowId === "string") this.flowsOf(userId).flow(flowId).addAll([event]);
  }

  private changed(userId: string): void {
    if (!this.followers.has(userId)) {
      // A message that was under way when nobody wanted it any more.
      this.users.delete(userId);
      return;
    }
    this.flowsOf(userId).version++;
    if (this.announced) return;
    this.announced = true;
    // Many events come within one frame of the screen: the page is drawn once for all of them.
    this.surroundings.soon(() => {
      this.announced = false;
      this.change({ version: this.snapshot.version + 1 });
    });
  }

  private change(part: Partial<LiveSnapshot>): void {
    this.snapshot = { ...this.snapshot, ...part };
    for (const listener of this.listeners) listener();
  }
}
