import { apiUrl, call } from "./http";

export interface Session {
  readonly name: string;
  readonly role: string;
  readonly rights: readonly string[];
  /** Whose own flows they may see; null for who is no recorded user. */
  readonly user_id: number | string | null;
  /** Whom they may see; null is all users. */
  readonly scope: readonly (number | string)[] | null;
}

/** The only visible user, for a session that sees itself only: then there is no search. */
export function onlyThemselves(session: Session): string | null {
  const { scope, user_id: own } = session;
  return own !== null && scope?.length === 1 && scope[0] === own ? String(own) : null;
}

export const mayAnnotate = (session: Session) => session.rights.includes("annotate");
export const mayShare = (session: Session) => session.rights.includes("share");
export const mayWatch = (session: Session) => session.rights.includes("monitor");

interface Place {
  readonly hash: string;
  readonly pathname: string;
  readonly search: string;
}

/** The one-time code in `#code=…`, which is removed from the address bar at once, so that it is not copied or kept. */
export function takeCode(place: Place, history: Pick<History, "replaceState">): string | null {
  const code = new URLSearchParams(place.hash.replace(/^#/, "")).get("code");
  if (code === null) return null;
  history.replaceState(null, "", place.pathname + place.search);
  return code;
}

/** Whether the identity provider has returned without a sign-in; the marker is removed from the address. */
export function takeFailure(place: Place, history: Pick<History, "replaceState">): boolean {
  if (place.hash !== "#sign_in=failed") return false;
  history.replaceState(null, "", place.pathname + place.search);
  return true;
}

/** Where a browser goes to sign in at the identity provider; it comes back to the view of `hash`. */
export function providerUrl(hash: string, base: string = document.baseURI): string {
  const url = apiUrl("session/oidc/start", base);
  if (hash.startsWith("#/")) url.searchParams.set("page", `/${hash}`);
  return url.href;
}

export const signInMethods = (signal?: AbortSignal) =>
  call<{ readonly methods: readonly string[] }>("session/methods", signal === undefined ? {} : { signal });
export const signInByToken = (token: string) => call<Session>("session", { method: "POST", body: { token } });
export const signIn = (code: string) => call<Session>("session", { method: "POST", body: { code } });
export const whoAmI = () => call<Session>("session");
export const signOut = () => call<undefined>("session", { method: "DELETE" });
