import { useState } from "react";
import { readStored, store } from "../../app/stored";

export interface Column {
  readonly id: string;
  readonly title: string;
  /** How wide it is, as a track of a CSS grid. */
  readonly track: string;
  readonly number?: true;
  /** Hidden by default. */
  readonly optional?: true;
}

/** Every column of the list, in the order in which they stand. The first two are always there. */
export const COLUMNS: readonly Column[] = [
  { id: "outcome", title: "Outcome", track: "minmax(11.5rem, 1fr)" },
  { id: "request", title: "Request", track: "minmax(10rem, 3fr)" },
  { id: "name", title: "Name", track: "minmax(7rem, 1fr)", optional: true },
  { id: "user", title: "User", track: "minmax(6rem, 0.8fr)" },
  { id: "source", title: "Source", track: "5rem", optional: true },
  { id: "tools", title: "Tools", track: "minmax(8.75rem, 1fr)" },
  { id: "model", title: "Model", track: "minmax(6rem, 0.8fr)", optional: true },
  { id: "steps", title: "Steps", track: "4rem", number: true, optional: true },
  { id: "took", title: "Took", track: "5rem", number: true },
  { id: "tokens", title: "Tokens", track: "4rem", number: true },
  { id: "cost", title: "Cost", track: "4rem", number: true },
  { id: "began", title: "Began", track: "minmax(5.5rem, 0.5fr)" },
];

const KEY = "spanflow.columns";
const FIXED: ReadonlySet<string> = new Set(["outcome", "request"]);

export const isFixed = (column: Column) => FIXED.has(column.id);

/** Which columns this person wants to see. */
export function useColumns(): [ReadonlySet<string>, (id: string, shown: boolean) => void] {
  const [chosen, setChosen] = useState(stored);
  const choose = (id: string, shown: boolean) => {
    const next = new Set(chosen);
    if (shown) next.add(id);
    else next.delete(id);
    store(KEY, [...next]);
    setChosen(next);
  };
  return [chosen, choose];
}

function stored(): ReadonlySet<string> {
  const found = readStored(KEY);
  const usual = COLUMNS.filter(({ optional }) => optional !== true).map(({ id }) => id);
  return new Set([...FIXED, ...(Array.isArray(found) ? found.map(String) : usual)]);
}
