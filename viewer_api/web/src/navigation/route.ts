/**
 * What the page shows. It stands in the address after `#`, so that every view can be bookmarked and shared and works under
 * any sub-path: `#/flows?outcome=denied`, `#/flow/<id>?span=<id>`.
 */
export interface Route {
  readonly page: string;
  /** What the page is about, such as a flow's id. */
  readonly id: string | null;
  readonly query: Query;
}

/** Parameters of a view; a parameter may have several values. */
export type Query = Readonly<Record<string, readonly string[]>>;

/** A new value for some parameters; null, an empty text and an empty list take a parameter away. */
export type QueryChange = Readonly<Record<string, string | readonly string[] | null | undefined>>;

const HOME = "flows";

export function parseRoute(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", ...rest] = path.split("/");
  const query = parseQuery(search);
  if (page === "history") return fromHistory(query);
  const id = rest.join("/");
  if (page === "flow" && id !== "") return { page, id: wholeFlowId(decoded(id)), query };
  return { page: page === "" ? HOME : page, id: id === "" ? null : decoded(id), query };
}

/** A flow's id is its trace id; Jaeger leaves out the upper half of one when it is zero, and some tools write capitals. */
export function wholeFlowId(id: string): string {
  return /^([0-9a-f]{16}){1,2}$/i.test(id) ? id.toLowerCase().padStart(32, "0") : id;
}

/** The token in `#/shared/<token>`: a link that shows one flow without a sign-in. */
export function sharedToken(hash: string): string | null {
  const { page, id } = parseRoute(hash);
  return page === "shared" ? (id ?? "") : null;
}

export function formatRoute({ page, id, query }: Route): string {
  const path = id === null ? page : `${page}/${encodeURIComponent(id)}`;
  const search = formatQuery(query);
  return `#/${path}${search === "" ? "" : `?${search}`}`;
}

export function to(page: string, id: string | null = null, change: QueryChange = {}): Route {
  return { page, id, query: changed({}, change) };
}

export function changed(query: Query, change: QueryChange): Query {
  const next: Record<string, readonly string[]> = { ...query };
  for (const [name, value] of Object.entries(change)) {
    const values = value === null || value === undefined ? [] : typeof value === "string" ? [value] : value;
    const kept = values.filter((each) => each !== "");
    if (kept.length === 0) delete next[name];
    else next[name] = kept;
  }
  return next;
}

/** The only value of a parameter, or null. */
export const one = (query: Query, name: string): string | null => query[name]?.[0] ?? null;

export const several = (query: Query, name: string): readonly string[] => query[name] ?? [];

export function formatQuery(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, values] of Object.entries(query)) for (const value of values) parameters.append(name, value);
  return parameters.toString();
}

function parseQuery(search: string): Query {
  const query: Record<string, string[]> = {};
  for (const [name, value] of new URLSearchParams(search)) {
    const values = (query[name] ??= []);
    if (value !== "" && !values.includes(value)) values.push(value);
  }
  return query;
}

/** Addresses of the page before it had filters: `#/history?user=7&flow=…`. */
function fromHistory(query: Query): Route {
  const flow = one(query, "flow");
  if (flow !== null) return { page: "flow", id: flow, query: {} };
  return { page: "flows", id: null, query: changed({}, { user_id: one(query, "user") }) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
