import type { Sample } from "../../api/health";

/** A part that the viewer needs. */
export interface Part {
  /** As it stands in the answer of `/readyz`. */
  readonly name: string;
  readonly title: string;
  readonly good: readonly string[];
  /** What is missing without it. */
  readonly without: string;
}

export const PARTS: readonly Part[] = [
  { name: "postgres", title: "PostgreSQL", good: ["up"], without: "Without it there is no past: lists, conversations and the audit log cannot be read, and so nothing may be looked at." },
  { name: "schema", title: "Database schema", good: ["current"], without: "Run `spanflow migrate`." },
  { name: "reads", title: "Read-only role", good: ["up"], without: "The past is not served until the role of SPANFLOW_VIEWER_READ_DSN can read." },
  { name: "redis", title: "Redis", good: ["up"], without: "Without it nothing can be followed live, and what runs right now is missing in lists." },
  { name: "jobs", title: "Background jobs", good: ["ok"], without: "A periodic job fails; the table below and the viewer's log say which." },
  { name: "sign_in", title: "Sign-in", good: ["ok", "up"], without: "The file of access tokens cannot be read: what it said before still holds." },
];

const LOSS = /(failures|refused_flows|waiting_flows|turned_away|limited|foreign_entries|resyncs)(_total)?$/;

/** Numbers that count something lost or refused, those that are not zero. */
export function losses(samples: readonly Sample[]): readonly Sample[] {
  return samples.filter(({ name, value }) => name.startsWith("spanflow_viewer_") && LOSS.test(name) && value > 0);
}
