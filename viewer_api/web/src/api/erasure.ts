import { call } from "./http";

export interface Staying {
  readonly what: string;
  readonly count: number | null;
  readonly why: string;
}

/** What an erasure removed, what stays and why, and where copies may be that it does not reach. */
export interface Receipt {
  readonly user_id: string | number;
  readonly finished_at: string;
  readonly erased_until: string;
  readonly erased: Readonly<Record<string, number>>;
  readonly stays: readonly Staying[];
  readonly out_of_reach: readonly { readonly what: string; readonly where: string; readonly why: string }[];
}

const path = (userId: string) => `users/${encodeURIComponent(userId)}/data`;

/** How much is stored of a person, by kind. */
export async function storedOf(userId: string, signal: AbortSignal): Promise<Readonly<Record<string, number>>> {
  const { stored } = await call<{ readonly stored: Readonly<Record<string, number>> }>(path(userId), { signal });
  return stored;
}

export const erase = (userId: string, reason: string) => call<Receipt>(path(userId), { method: "DELETE", headers: { "X-Spanflow-Reason": asHeader(reason) } });

/** UTF-8, byte by byte: a header holds nothing else. */
const asHeader = (text: string): string => String.fromCharCode(...new TextEncoder().encode(text.replace(/\s+/g, " ")));
