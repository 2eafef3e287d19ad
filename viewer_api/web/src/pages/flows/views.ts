import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { deleteFilter, listFilters, saveFilter, type SavedFilter } from "../../api/filters";
import { Problem } from "../../api/http";
import { forget, readStored } from "../../app/stored";
import { formatQuery, parseRoute, type Query } from "../../navigation/route";
import { FILTERS } from "./filters";

/** Where browsers kept views before the viewer did. */
const OLD_KEY = "spanflow.views";
const SEARCHED: ReadonlySet<string> = new Set([...Object.keys(FILTERS), "q", "sort", "since", "until", "range", "connections"]);

/** The same for the same filters, in whatever order they were chosen; what is no part of the search is left out. */
export function searchOf(query: Query): string {
  const sorted = Object.entries(query)
    .filter(([name]) => SEARCHED.has(name))
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, values]) => [name, [...values].sort()] as const);
  return formatQuery(Object.fromEntries(sorted));
}

export const queryOf = (search: string): Query => parseRoute(`#/flows?${search}`).query;

export interface SavedViews {
  readonly views: readonly SavedFilter[];
  readonly problem: string | null;
  readonly save: (name: string, query: Query, shared: boolean, onSaved: () => void) => void;
  readonly remove: (view: SavedFilter) => void;
}

const KEY = ["filters"];

/** Searches under names: one's own, and those that others share. */
export function useSavedViews(): SavedViews {
  const client = useQueryClient();
  const { data, error } = useQuery({ queryKey: KEY, queryFn: ({ signal }) => listFilters(signal), staleTime: 60_000 });
  const act = useMutation({
    mutationFn: (ask: () => Promise<unknown>) => ask(),
    onSuccess: () => client.invalidateQueries({ queryKey: KEY }),
  });
  useEffect(() => {
    if (data === undefined) return;
    const names = new Set(data.filter(({ mine }) => mine).map(({ name }) => name));
    void moved(names).then((some) => (some ? client.invalidateQueries({ queryKey: KEY }) : undefined));
  }, [data, client]);
  return {
    views: data ?? [],
    problem: (error ?? act.error)?.message ?? null,
    save: (name, query, shared, onSaved) => act.mutate(() => saveFilter({ name, filter: searchOf(query), shared }), { onSuccess: onSaved }),
    remove: (view) => act.mutate(() => deleteFilter(view.filter_id)),
  };
}

let moving = false;

/** Moves what this browser holds to the viewer, once; what the viewer refuses is of no use any more. Whether there was something. */
async function moved(taken: ReadonlySet<string>): Promise<boolean> {
  const views = moving ? [] : storedViews();
  if (views.length === 0) return false;
  moving = true;
  try {
    for (const { name, search } of views) {
      if (taken.has(name)) continue;
      try {
        await saveFilter({ name: name.trim().slice(0, 60), filter: searchOf(queryOf(search)), shared: false });
      } catch (error) {
        if (!(error instanceof Problem) || error.status !== 422) return false;
      }
    }
    forget(OLD_KEY);
    return true;
  } finally {
    moving = false;
  }
}

interface StoredView {
  readonly name: string;
  readonly search: string;
}

function storedViews(): readonly StoredView[] {
  const found = readStored(OLD_KEY);
  if (!Array.isArray(found)) return [];
  return found.filter(
    (each: unknown): each is StoredView =>
      typeof each === "object" && each !== null && "name" in each && "search" in each && typeof each.name === "string" && typeof each.search === "string",
  );
}
