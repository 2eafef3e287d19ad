import type { Flow } from "./flows";
import { call } from "./http";

/** A link that shows one flow without a sign-in. */
export interface Share {
  readonly link_id: string;
  readonly flow_id: string;
  readonly user_id: string | number | null;
  readonly contents: boolean;
  readonly state: "active" | "expired" | "revoked";
  readonly created_at: string;
  readonly created_by: string;
  readonly mine: boolean;
  readonly expires_at: string;
  readonly opened: number;
  readonly opened_at: string | null;
}

/** The answer has the link itself, this once. */
export const addShare = (flowId: string, body: { readonly contents: boolean; readonly days?: number }) =>
  call<Share & { readonly token: string }>(`flows/${encodeURIComponent(flowId)}/shares`, { method: "POST", body });

/** Your links, of everyone for an admin; the newest first. */
export const listShares = async (flowId: string | null, signal: AbortSignal) =>
  (await call<{ readonly shares: readonly Share[] }>("shares", { query: { limit: 100, ...(flowId === null ? {} : { flow_id: flowId }) }, signal })).shares;

export const revokeShare = (linkId: string) => call<Share>(`shares/${encodeURIComponent(linkId)}`, { method: "DELETE" });

export interface SharedFlow {
  readonly expires_at: string;
  readonly flow: Flow;
}

/** What a link shows; its token travels in a header, which no server logs. */
export const sharedFlow = (token: string, signal: AbortSignal) => call<SharedFlow>("shared/flow", { headers: { "X-Spanflow-Share": token }, signal });
