import { call } from "./http";

/** Ids are numbers in JSON when they are whole numbers; inside the page they are always text. */
export interface WatchedUser {
  readonly userId: string;
  readonly email: string | null;
  readonly fullName: string | null;
  readonly reason: string | null;
  readonly by: string | null;
  readonly expiresAt: string | null;
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
  }));
}

export async function searchPeople(query: string, signal: AbortSignal): Promise<Person[]> {
  const { users } = await call<{ users: Raw[] }>("monitoring/users", { query: { q: query, limit: 8 }, signal });
  return users.map((user) => ({ userId: String(user["id"]), email: text(user["email"]), fullName: text(user["full_name"]) }));
}

export function watch(userId: string, hours: number, reason: string): Promise<unknown> {
  const body = { user_ids: [userId], ttl_hours: hours, ...(reason === "" ? {} : { reason }) };
  return call("monitoring/enable", { method: "POST", body });
}

export function unwatch(userId: string): Promise<unknown> {
  return call("monitoring/disable", { method: "POST", body: { user_ids: [userId] } });
}

/** How a person is called on the page. */
export function nameOf(person: Person): string {
  return person.email ?? person.fullName ?? `user ${person.userId}`;
}
