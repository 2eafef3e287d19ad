import type { Query } from "../navigation/route";
import { apiUrl } from "./http";

export interface Format {
  readonly id: string;
  readonly text: string;
  /** What it is good for. */
  readonly hint: string;
}

/** What a file can be; each is a format of the API. */
export const FORMATS: readonly Format[] = [
  { id: "json", text: "JSON", hint: "as it is stored" },
  { id: "jsonl", text: "JSON Lines", hint: "a flow per line" },
  { id: "csv", text: "CSV", hint: "a row per step" },
  { id: "otlp", text: "OTLP/JSON", hint: "for a Collector" },
  { id: "jaeger", text: "Jaeger JSON", hint: "for Jaeger’s upload" },
  { id: "chrome", text: "Trace events", hint: "Perfetto, speedscope" },
  { id: "markdown", text: "Markdown", hint: "for people and models" },
];

/** One flow can also be a page by itself. */
export const FLOW_FORMATS: readonly Format[] = [...FORMATS, { id: "html", text: "HTML page", hint: "opens offline" }];

export const flowExport = (flowId: string, format: string): URL => withQuery(`flows/${encodeURIComponent(flowId)}/export`, { format: [format] });

/** All stored flows that match, the newest first. */
export const flowsExport = (filters: Query, format: string): URL => {
  const { sort: _order, ...those } = filters;
  return withQuery("export", { ...those, format: [format] });
};

function withQuery(path: string, query: Query): URL {
  const url = apiUrl(path);
  for (const [name, values] of Object.entries(query)) for (const value of values) url.searchParams.append(name, value);
  return url;
}
