/** An answer of the API that says what went wrong (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
  ) {
    super(detail);
  }
}

/** The address of something below the API's prefix; it works under any sub-path the page is served from. */
export function apiUrl(path: string, base: string = document.baseURI): URL {
  const url = new URL(`api/v1/${path}`, base);
  url.hash = "";
  return url;
}

export interface Call {
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly body?: unknown;
  /** A list becomes one parameter for each of its values; what is empty is left out. */
  readonly query?: Readonly<Record<string, string | number | readonly string[] | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Call the API; the answer's JSON, or a `Problem`. */
export async function call<T>(path: string, { method = "GET", body, query = {}, headers = {}, signal }: Call = {}): Promise<T> {
  const url = apiUrl(path);
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== "") url.searchParams.append(name, String(each));
    }
  }
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      credentials: "same-origin",
      cache: "no-store",
      ...(body === undefined ? { headers } : { body: JSON.stringify(body), headers: { ...headers, "Content-Type": "application/json" } }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable", "The viewer cannot be reached.");
  }
  if (!response.ok) throw await problemOf(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const { code, detail, title } = (await response.json()) as Record<string, unknown>;
    return new Problem(response.status, String(code ?? "unknown"), String(detail ?? title ?? response.statusText));
  } catch {
    return new Problem(response.status, "unknown", `The viewer answered ${response.status}.`);
  }
}
