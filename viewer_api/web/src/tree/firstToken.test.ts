import { describe, expect, it } from "vitest";
import { firstTokenMs } from "./firstToken";

describe("the time to the first token", () => {
  it("is found wherever it stands, the checkpoint's own first", () => {
    expect(firstTokenMs({ "gen_ai.response.time_to_first_chunk": 0.25, "flow.data.time_to_first_token_ms": 120.5 })).toBe(120.5);
    expect(firstTokenMs({ "gen_ai.response.time_to_first_chunk": 0.25 })).toBe(250);
    expect(firstTokenMs({ "gen_ai.server.time_to_first_token": 2 })).toBe(2000);
  });

  it("is not known where nothing says it in numbers", () => {
    expect(firstTokenMs(undefined)).toBeUndefined();
    expect(firstTokenMs({ "gen_ai.response.time_to_first_chunk": "soon", "gen_ai.server.time_to_first_token": -1 })).toBeUndefined();
  });
});
