import { useState } from "react";
import { readStored, store } from "../../app/stored";
import { formatQuery, parseRoute, type Query } from "../../navigation/route";

/** A search under a name. */
export interface SavedView {
  readonly name: string;
  /** As it stands in the address. */
  readonly search: string;
}

const KEY = "spanflow.views";
const MOST = 50;

/** The same for the same filters, in whatever order they were chosen. */
export function searchOf(query: Query): string {
  const sorted = Object.entries(query)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, values]) => [name, [...values].sort()] as const);
  return formatQuery(Object.fromEntries(sorted));
}

export const queryOf = (view: SavedView): Query => parseRoute(`#/flows?${view.search}`).query;

export interface SavedViews {
  readonly views: readonly SavedView[];
  readonly save: (name: string, query: Query) => void;
  readonly remove: (name: string) => void;
}

/** Searches that this browser remembers. */
export function useSavedViews(): SavedViews {
  const [views, setViews] = useState(stored);
  const keep = (next: readonly SavedView[]) => {
    store(KEY, next);
    setViews(next);
  };
  return {
    views,
    save: (name, query) => keep([...views.filter((view) => view.name !== name), { name, search: searchOf(query) }].slice(-MOST)),
    remove: (name) => keep(views.filter((view) => view.name !== name)),
  };
}

function stored(): readonly SavedView[] {
  const found = readStored(KEY);
  if (!Array.isArray(found)) return [];
  return found.filter(
    (each: unknown): each is SavedView =>
      typeof each === "object" && each !== null && "name" in each && "search" in each && typeof each.name === "string" && typeof each.search === "string",
  );
}
