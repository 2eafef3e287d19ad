import { Problem } from "./http";

/** What the viewer says of itself; more of it to an admin. */
export interface Readiness {
  readonly status: string;
  readonly details?: {
    readonly jobs?: Readonly<Record<string, { readonly runs: number; readonly failures: number }>>;
    readonly reaper?: Readonly<Record<string, number>>;
  };
  readonly [part: string]: unknown;
}

/** One number of the viewer's metrics. */
export interface Sample {
  readonly name: string;
  readonly labels: string;
  readonly value: number;
}

/** Beside the API, under whatever folder the page is served from. */
async function beside(path: string, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(new URL(path, document.baseURI), { credentials: "same-origin", cache: "no-store", signal });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable", "The viewer cannot be reached.");
  }
}

/** It is read from an answer of 503 as well: then Postgres is away. */
export async function readiness(signal: AbortSignal): Promise<Readiness> {
  const response = await beside("readyz", signal);
  if (!response.ok && response.status !== 503) throw new Problem(response.status, "unknown", `The viewer answered ${response.status}.`);
  return (await response.json()) as Readiness;
}

export async function metrics(signal: AbortSignal): Promise<readonly Sample[]> {
  const response = await beside("metrics", signal);
  if (!response.ok) throw new Problem(response.status, "unknown", `The viewer answered ${response.status}.`);
  return parsed(await response.text());
}

/** Lines such as `name{label="value"} 12.0`; comments and what cannot be read are left out. */
function parsed(text: string): readonly Sample[] {
  return text.split("\n").flatMap((line) => {
    const found = /^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? ([^ ]+)/i.exec(line);
    const value = Number(found?.[3]);
    return found === null || Number.isNaN(value) ? [] : [{ name: found[1] ?? "", labels: found[2] ?? "", value }];
  });
}
