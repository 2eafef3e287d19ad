import { call } from "./http";

/** Ids are numbers in JSON when they are whole numbers; inside the page they are always text. */
export interface WatchedUser {
  readonly userId: string;
  readonly email: string | null;
  readonly fullName: string | null;
  readonly reason: string | null;
  readonly by: string | null;
  readonly expiresAt: string | null;
  /** What happens is shown, what is said is not. */
  readonly metadataOnly: boolean;
  /** Who let the watch last longer, the latest. */
  readonly extendedBy: string | null;
}

/** What a watch needs here; pages ask before they offer it. */
export interface Policy {
  readonly reasonRequired: boolean;
  readonly reasonLength: number;
  readonly maxHours: number;
  /** `off` leaves it to each watch, `default` does so unless told otherwise, `always` allows nothing else. */
  readonly metadataOnly: "off" | "default" | "always";
}

export interface Person {
  readonly userId: string;
  readonly email: string | null;
  readonly fullName: string | null;
}

type Raw = Readonly<Record<string, unknown>>;

const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : null);

export async function watchedUsers(signal?: AbortSignal): Promise<WatchedUser[]> {
  const { monitored_users: users } = await call<{ monitored_users: Raw[] }>(
    "monitoring/list",
    signal === undefined ? {} : { signal },
  );
  return users.map((user) => ({
    userId: String(user["user_id"]),
    email: text(user["email"]),
    fullName: text(user["full_name"]),
    reason: text(user["reason"]),
    by: text(user["by"]),
    expiresAt: text(user["expires_at"]),
    metadataOnly: user["metadata_only"] === true,
    extendedBy: lastExtension(user["extensions"]),
  }));
}

function lastExtension(extensions: unknown): string | null {
  const last: unknown = Array.isArray(extensions) ? extensions.at(-1) : undefined;
  return typeof last === "object" && last !== null && "by" in last ? text(last.by) : null;
}

export async function monitoringPolicy(signal: AbortSignal): Promise<Policy> {
  const policy = await call<Raw>("monitoring/policy", { signal });
  const withheld = policy["metadata_only"];
  return {
    reasonRequired: policy["reason_required"] === true,
    reasonLength: Number(policy["reason_length"]),
    maxHours: Number(policy["max_hours"]),
    metadataOnly: withheld === "always" || withheld === "default" ? withheld : "off",
  };
}

export async function searchPeople(query: string, signal: AbortSignal, limit = 8): Promise<Person[]> {
  const { users } = await call<{ users: Raw[] }>("monitoring/users", { query: { q: query, limit }, signal });
  return users.map((user) => ({ userId: String(user["id"]), email: text(user["email"]), fullName: text(user["full_name"]) }));
}

export function watch(userId: string, hours: number, reason: string, metadataOnly: boolean): Promise<unknown> {
  const said = { ttl_hours: hours, metadata_only: metadataOnly, ...(reason === "" ? {} : { reason }) };
  return call("monitoring/enable", { method: "POST", body: { user_ids: [userId], ...said } });
}

export function extendWatch(userId: string, hours: number): Promise<unknown> {
  return call("monitoring/extend", { method: "POST", body: { user_ids: [userId], hours } });
}

export function unwatch(userId: string): Promise<unknown> {
  return call("monitoring/disable", { method: "POST", body: { user_ids: [userId] } });
}

/** How a person is called on the page. */
export function nameOf(person: Person): string {
  return person.fullName ?? person.email ?? `user ${person.userId}`;
}
