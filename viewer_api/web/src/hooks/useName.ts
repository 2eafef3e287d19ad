import { useEffect, useState } from "react";
import { nameOf, searchPeople, type Person } from "../api/monitoring";

/** Names outlive the watch. */
const remembered = new Map<string, string>();

/** How a user is called: as the list of watched users says, as it said before, else as the directory does. */
export function useName(userId: string, listed: Person | undefined): string {
  if (listed !== undefined) remembered.set(userId, nameOf(listed));
  const [, setLookedUp] = useState(0);
  const name = remembered.get(userId);
  useEffect(() => {
    if (name !== undefined) return;
    const abort = new AbortController();
    searchPeople(userId, abort.signal).then(
      (found) => {
        const person = found.find((other) => other.userId === userId);
        remembered.set(userId, person === undefined ? `user ${userId}` : nameOf(person));
        setLookedUp((before) => before + 1);
      },
      () => undefined, // the id will do; what is wrong is said where it matters
    );
    return () => abort.abort();
  }, [userId, name]);
  return name ?? `user ${userId}`;
}
