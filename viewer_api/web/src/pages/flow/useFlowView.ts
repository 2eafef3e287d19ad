import { useMemo } from "react";
import { changed, one, several } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { addressOf } from "../../components/clipboard";
import type { Timeline } from "../../tree/timeline";

/** What is shown of a flow, and how. All of it stands in the address. */
export interface FlowView {
  readonly view: string;
  readonly selected: string | null;
  readonly search: string;
  /** The span that counts as the root; null for the flow's own. */
  readonly root: string | null;
  readonly pinned: readonly string[];
  readonly critical: boolean;
  /** In milliseconds since the flow's start. */
  readonly range: readonly [number, number] | null;
  readonly show: (view: string) => void;
  readonly select: (nodeId: string | null) => void;
  readonly find: (text: string) => void;
  readonly setRoot: (nodeId: string | null) => void;
  readonly togglePin: (nodeId: string) => void;
  readonly setCritical: (critical: boolean) => void;
  readonly setRange: (range: Timeline | null, zeroNs: bigint) => void;
  readonly linkTo: (nodeId: string) => string;
}

export const VIEWS = [
  { id: "tree", text: "Tree" },
  { id: "graph", text: "Graph" },
  { id: "transcript", text: "Transcript" },
  { id: "table", text: "Table" },
  { id: "json", text: "JSON" },
] as const;

export type View = (typeof VIEWS)[number];

/** Without a sign-in: what was said is no part of a flow's document. */
export const SHARED_VIEWS: readonly View[] = VIEWS.filter(({ id }) => id !== "transcript");

export function useFlowView(views: readonly View[]): FlowView {
  const { route, change } = useNavigation();
  return useMemo(() => {
    const { query } = route;
    const wanted = one(query, "view");
    const pinned = several(query, "pin");
    const set = (what: Parameters<typeof change>[0]) => change(what, "replace");
    return {
      view: views.find(({ id }) => id === wanted)?.id ?? "tree",
      selected: one(query, "span"),
      search: one(query, "find") ?? "",
      root: one(query, "root"),
      pinned,
      critical: one(query, "critical") !== null,
      range: rangeOf(one(query, "range")),
      show: (view) => set({ view: view === "tree" ? null : view }),
      select: (nodeId) => set({ span: nodeId }),
      find: (text) => set({ find: text }),
      setRoot: (nodeId) => set({ root: nodeId, range: null }),
      togglePin: (nodeId) => set({ pin: pinned.includes(nodeId) ? pinned.filter((other) => other !== nodeId) : [...pinned, nodeId] }),
      setCritical: (critical) => set({ critical: critical ? "1" : null }),
      setRange: (range, zeroNs) => set({ range: range === null ? null : `${sinceMs(range.startNs, zeroNs)}-${sinceMs(range.endNs, zeroNs)}` }),
      linkTo: (nodeId) => addressOf({ ...route, query: changed({}, { span: nodeId }) }),
    };
  }, [route, change, views]);
}

const sinceMs = (ns: bigint, zeroNs: bigint): number => Number((Number(ns - zeroNs) / 1e6).toFixed(6));

function rangeOf(text: string | null): readonly [number, number] | null {
  const [from, to] = (text ?? "").split("-").map(Number);
  return from !== undefined && to !== undefined && Number.isFinite(from) && to > from ? [from, to] : null;
}
