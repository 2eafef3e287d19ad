import type { Query } from "../navigation/route";
import { call } from "./http";

export interface AuditEntry {
  readonly id: number;
  readonly at: string;
  readonly actor: string;
  readonly role: string | null;
  readonly action: string;
  readonly user_id: string | number | null;
  readonly target: string | null;
  readonly reason: string | null;
  readonly remote: string | null;
  readonly outcome: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  readonly next: number | null;
}

export function readAudit(filters: Query, before: number | undefined, signal: AbortSignal): Promise<AuditPage> {
  return call<AuditPage>("audit", { query: { ...filters, limit: 100, before }, signal });
}
