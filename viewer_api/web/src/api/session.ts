import { call } from "./http";

export interface Session {
  readonly name: string;
  readonly rights: readonly string[];
}

interface Place {
  readonly hash: string;
  readonly pathname: string;
  readonly search: string;
}

/** The one-time code in `#code=…`, which is removed from the address bar at once: nobody should copy or keep it. */
export function takeCode(place: Place, history: Pick<History, "replaceState">): string | null {
  const code = new URLSearchParams(place.hash.replace(/^#/, "")).get("code");
  if (code === null) return null;
  history.replaceState(null, "", place.pathname + place.search);
  return code;
}

export const signIn = (code: string) => call<Session>("session", { method: "POST", body: { code } });
export const whoAmI = () => call<Session>("session");
export const signOut = () => call<undefined>("session", { method: "DELETE" });
