import { beforeEach, describe, expect, it } from "vitest";
import { LiveConnection, type Socket } from "./connection";
import type { ConnectionState, ServerMessage } from "./messages";
import { flowTopic, userTopic } from "./topic";

/** Time that passes when the test says so. */
class Clock {
  now = 0;
  private timers: { at: number; callback: () => void }[] = [];

  later = (callback: () => void, ms: number) => {
    const timer = { at: this.now + ms, callback };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  };

  pass(ms: number) {
    const end = this.now + ms;
    for (;;) {
      const next = this.timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.now = next.at;
      this.timers = this.timers.filter((timer) => timer !== next);
      next.callback();
    }
    this.now = end;
  }
}

class FakeSocket implements Socket {
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  readonly sent: Record<string, unknown>[] = [];
  closed = false;

  send(data: string) {
    this.sent.push(JSON.parse(data) as Record<string, unknown>);
  }

  close() {
    this.closed = true;
  }

  says(message: unknown) {
    this.onmessage?.({ data: JSON.stringify(message) } as MessageEvent);
  }

  breaks(code = 1006) {
    this.onclose?.({ code } as CloseEvent);
  }
}

const HELLO = { type: "hello", v: 1, name: "op", heartbeat_seconds: 10, server_time_ms: 0, redis: "up" };

let clock: Clock;
let sockets: FakeSocket[];
let states: ConnectionState[];
let messages: ServerMessage[];
let connection: LiveConnection;
const socket = () => sockets.at(-1) as FakeSocket;

beforeEach(() => {
  clock = new Clock();
  sockets = [];
  states = [];
  messages = [];
  connection = new LiveConnection(
    {
      open() {
        sockets.push(new FakeSocket());
        return socket();
      },
      later: clock.later,
      random: () => 1,
    },
    { onMessage: (message) => messages.push(message), onState: (state) => states.push(state) },
  );
});

describe("the live connection", () => {
  it("opens one socket for all users, when the first is followed", () => {
    expect(sockets).toHaveLength(0);
    connection.follow(userTopic("7"));
    connection.follow(userTopic("neo"));
    socket().says(HELLO);
    connection.follow(userTopic("8"));
    connection.follow(userTopic("8"));
    expect(sockets).toHaveLength(1);
    expect(socket().sent.map((message) => [message["type"], message["user_id"]])).toEqual([
      ["subscribe", "7"],
      ["subscribe", "neo"],
      ["subscribe", "8"],
    ]);
    expect(states).toEqual(["connecting", "live"]);
  });

  it("goes on from the newest cursor after it was cut", () => {
    connection.follow(userTopic("7"));
    socket().says(HELLO);
    socket().says({ type: "events", user_id: 7, events: [], cursor: "c1" });
    socket().says({ type: "events", user_id: 7, events: [], cursor: "c2" });
    socket().breaks();
    clock.pass(250);
    expect(sockets).toHaveLength(2);
    socket().says(HELLO);
    expect(socket().sent).toEqual([{ type: "subscribe", user_id: "7", cursor: "c2" }]);
    expect(states).toEqual(["connecting", "live", "reconnecting", "live"]);
  });

  it("follows one flow, with the reason for it, and goes on from its own cursor", () => {
    connection.follow(userTopic("7"));
    connection.follow(flowTopic("f", "ticket"));
    socket().says(HELLO);
    socket().says({ type: "snapshot", user_id: 7, flow_id: "f", events: [], truncated: false, cursor: "c1" });
    socket().says({ type: "events", flow_id: "f", events: [], cursor: "c2" });
    socket().breaks();
    clock.pass(250);
    socket().says(HELLO);
    expect(socket().sent).toEqual([
      { type: "subscribe", user_id: "7", cursor: "c1" },
      { type: "subscribe", flow_id: "f", reason: "ticket", cursor: "c2" },
    ]);
    connection.unfollow(flowTopic("f"));
    expect(socket().sent.at(-1)).toEqual({ type: "unsubscribe", flow_id: "f" });
  });

  it("waits longer after each failure, and not after a success", () => {
    connection.follow(userTopic("7"));
    const pauses: number[] = [];
    for (let i = 0; i < 8; i++) {
      socket().breaks();
      const begin = clock.now;
      const before = sockets.length;
      while (sockets.length === before) clock.pass(10);
      pauses.push(clock.now - begin);
    }
    expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    socket().says(HELLO);
    socket().breaks();
    clock.pass(250);
    expect(sockets).toHaveLength(10);
  });

  it("answers heartbeats, and takes silence for a dead line", () => {
    connection.follow(userTopic("7"));
    socket().says(HELLO);
    clock.pass(20_000);
    socket().says({ type: "ping" });
    expect(socket().sent.at(-1)).toEqual({ type: "pong" });
    clock.pass(24_000);
    expect(states.at(-1)).toBe("live");
    const silent = socket();
    clock.pass(2000);
    expect(silent.closed).toBe(true);
    expect(states.at(-1)).toBe("reconnecting");
  });

  it("gives up a socket that never says hello", () => {
    connection.follow(userTopic("7"));
    clock.pass(10_000 + 250);
    expect(sockets).toHaveLength(2);
  });

  it("says when the viewer's Redis is away", () => {
    connection.follow(userTopic("7"));
    socket().says({ ...HELLO, redis: "down" });
    socket().says({ type: "state", redis: "up" });
    expect(states).toEqual(["connecting", "interrupted", "live"]);
  });

  it.each([
    [4401, "signed-out"],
    [4403, "refused"],
    [4409, "rights-changed"],
  ])("does not knock again after %d: %s", (code, state) => {
    connection.follow(userTopic("7"));
    socket().says(HELLO);
    socket().breaks(code);
    clock.pass(60_000);
    expect(sockets).toHaveLength(1);
    expect(states.at(-1)).toBe(state);
  });

  it("closes when nobody is followed any more, and opens again", () => {
    connection.follow(userTopic("7"));
    connection.follow(userTopic("8"));
    socket().says(HELLO);
    connection.unfollow(userTopic("7"));
    expect(socket().sent.at(-1)).toEqual({ type: "unsubscribe", user_id: "7" });
    connection.unfollow(userTopic("8"));
    expect(socket().closed).toBe(true);
    expect(states.at(-1)).toBe("idle");
    clock.pass(60_000);
    connection.follow(userTopic("8"));
    expect(sockets).toHaveLength(2);
  });

  it("hears nothing from a socket it has left", () => {
    connection.follow(userTopic("7"));
    const old = socket();
    old.says(HELLO);
    old.breaks();
    clock.pass(250);
    old.says({ type: "flow", user_id: 7, flow_id: "f", open: true });
    old.breaks();
    expect(messages.map((message) => message.type)).toEqual(["hello"]);
    expect(sockets).toHaveLength(2);
  });

  it("is not disturbed by what it does not understand", () => {
    connection.follow(userTopic("7"));
    socket().onmessage?.({ data: "{" } as MessageEvent);
    socket().onmessage?.({ data: new ArrayBuffer(1) } as MessageEvent);
    socket().says(null);
    socket().says(HELLO);
    expect(states.at(-1)).toBe("live");
  });
});
