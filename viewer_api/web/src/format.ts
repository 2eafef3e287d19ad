const NS_PER_MS = 1_000_000;

/** A duration for people: `91 µs`, `1.4 ms`, `150 ms`, `2.35 s`, `3 min 05 s`, `2 h 04 min`. The terminal says the same. */
export function duration(ms: number): string {
  const shown = Math.max(ms, 0);
  if (shown < 0.9995) return `${Math.round(shown * 1000)} µs`;
  if (shown < 10) return `${shown.toFixed(1)} ms`;
  if (shown < 999.5) return `${Math.round(shown)} ms`;
  if (shown < 59_995) return `${(shown / 1000).toFixed(2)} s`;
  const seconds = Math.round(shown / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
  const minutes = Math.floor(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** A round duration, such as a threshold or a mark of an axis: `2 s`, `1 min`, `0.5 ms` without zeros that say nothing. */
export function roundDuration(ms: number): string {
  return duration(ms)
    .replace(/\.(\d*?)0+(?= )/, (_, kept: string) => (kept === "" ? "" : `.${kept}`))
    .replace(/ 00 (s|min)$/, "");
}

export function durationNs(ns: bigint): string {
  return duration(Number(ns) / NS_PER_MS);
}

/** How long until a moment, roughly: `23 h`, `12 min`, `now`. */
export function until(iso: string, nowMs: number): string {
  const minutes = Math.ceil((Date.parse(iso) - nowMs) / 60_000);
  if (!Number.isFinite(minutes) || minutes <= 0) return "now";
  if (minutes < 60) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} days`;
}

/** How long until a moment, to the second within the last hour: `8 s`, `59 min 05 s`, `2 h 04 min`, `3 days`. */
export function countdown(iso: string, nowMs: number): string {
  const seconds = Math.ceil((Date.parse(iso) - nowMs) / 1000);
  if (!Number.isFinite(seconds) || seconds <= 0) return "now";
  if (seconds < 60) return `${seconds} s`;
  if (seconds >= 48 * 3600) return until(iso, nowMs);
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}

export function clockTime(ns: bigint): string {
  return timeOf(new Date(Number(ns / 1_000_000n)));
}

export function clockTimeOf(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : timeOf(date);
}

/** How long ago: `just now`, `12 s ago`, `5 min ago`, `3 h ago`, `4 days ago`. */
export function relativeTime(iso: string, nowMs: number): string {
  const seconds = Math.round((nowMs - Date.parse(iso)) / 1000);
  if (!Number.isFinite(seconds)) return iso;
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} days ago`;
}

export function utcTime(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** A count for people: `950`, `1.2 k`, `3.4 M`. */
export function count(value: number): string {
  if (value < 1000) return String(value);
  if (value < 999_950) return `${(value / 1000).toFixed(value < 9_950 ? 1 : 0)} k`;
  return `${(value / 1e6).toFixed(1)} M`;
}

/** An amount of money, in the currency of the price table: `0.0012`, `0.31`, `12.40`; small ones with four digits, so that columns align. */
export function money(value: number): string {
  if (value === 0) return "0";
  if (value < 0.00005) return "< 0.0001";
  return value.toFixed(value < 0.01 ? 4 : 2);
}

export function dateTime(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : `${date.toLocaleDateString()} ${timeOf(date)}`;
}

// Made once: a format of its own for each time would cost more than everything else in a row.
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "numeric", second: "numeric", hour12: false });

const timeOf = (date: Date): string => CLOCK.format(date);

/** A value of an attribute as text. */
export function valueText(value: unknown): string {
  if (typeof value === "string") return value;
  const line = JSON.stringify(value) ?? "";
  // What is short reads better in one line.
  return line.length <= 48 ? line : JSON.stringify(value, null, 1);
}

/** The message of an exception without the module of its type: `ToolFailed: no answer` of `gateway.tools.ToolFailed: no answer`. */
export const withoutModule = (message: string): string => message.replace(/^(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_]\w*(?::|$))/, "");

/** Model text in one line, without the signs of its markup. */
export const plainLine = (text: string): string =>
  text
    .replace(/```\w*|[`*]{1,3}(?=\S)|(?<=\S)[`*]{1,3}/g, "")
    .replace(/^\s*(?:#{1,6}|[-*+>])\s+/gm, "")
    .replace(/\s+/g, " ")
    .trim();

/** A share of a whole: `12 %`, `3.4 %`; only all of it is 100 %, and only none of it 0 %. */
export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.05) return "< 0.1 %";
  const digits = (value > 0 && value < 10) || (value > 99 && value < 100) ? 1 : 0;
  return `${Math.min(Number(value.toFixed(digits)), value < 100 ? 99.9 : 100).toFixed(digits)} %`;
}
