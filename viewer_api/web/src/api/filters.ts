import { call } from "./http";

/** A search of flows under a name. */
export interface SavedFilter {
  readonly filter_id: string;
  readonly name: string;
  /** As it stands in the address. */
  readonly filter: string;
  readonly shared: boolean;
  readonly mine: boolean;
  readonly created_by: string;
}

export const listFilters = async (signal: AbortSignal) => (await call<{ readonly filters: readonly SavedFilter[] }>("filters", { signal })).filters;

/** One of your own under the same name is replaced. */
export const saveFilter = (body: { readonly name: string; readonly filter: string; readonly shared: boolean }) =>
  call<SavedFilter>("filters", { method: "POST", body });

export const deleteFilter = (filterId: string) => call(`filters/${encodeURIComponent(filterId)}`, { method: "DELETE" });
