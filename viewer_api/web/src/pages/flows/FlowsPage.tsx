import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { GitCompare, RefreshCw, Search } from "lucide-react";
import { lazy, Suspense, useEffect, useMemo, useRef, useState } from "react";
import { useSignedIn } from "../../app/session";
import { useShortcuts } from "../../app/shortcuts";
import { FORMATS, flowsExport } from "../../api/export";
import { searchFlows, type FlowPage } from "../../api/flows";
import { onlyThemselves } from "../../api/session";
import { ExportMenu } from "../../components/ExportMenu";
import { useDelayed } from "../../hooks/useDelayed";
import { one } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button, IconButton } from "../../ui/Button";
import { TextField } from "../../ui/Field";
import { Loading, Notice } from "../../ui/Notice";
import { againstTheRest, isNarrowed } from "../compare/groups";
import { asked } from "./filters";
import { FilterBar } from "./FilterBar";
import { ClearFilters } from "./FilterChips";
import { ColumnsMenu } from "./ColumnsMenu";
import { useColumns } from "./columns";
import { FlowTable } from "./FlowTable";
import { ViewsMenu } from "./ViewsMenu";
import styles from "./FlowsPage.module.css";

// Few lists need them.
const CompareBar = lazy(() => import("./CompareBar"));
const NoFlows = lazy(() => import("./NoFlows"));

const REFRESH_MS = 5_000;
const TYPING_MS = 250;

/** All flows, running and past, newest first; filters are in the address. */
export default function FlowsPage() {
  const { route, go } = useNavigation();
  const own = onlyThemselves(useSignedIn());
  const [round, setRound] = useState(0);
  const query = own === null ? route.query : { ...route.query, user_id: [own] };
  // The beginning of “the last hour” moves on when the list is read again, not between its pages.
  const filters = useMemo(() => asked(query, Date.now()), [JSON.stringify(query), round]);
  const found = useInfiniteQuery({
    queryKey: ["flows", filters],
    queryFn: ({ pageParam, signal }) => searchFlows(filters, pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
    placeholderData: keepPreviousData,
    // Only the first page moves; who reads further down is left alone.
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 0) <= 1 ? REFRESH_MS : false),
  });
  const flows = useMemo(() => found.data?.pages.flatMap((page) => page.flows) ?? [], [found.data]);
  const first = found.data?.pages[0];
  const [columns, chooseColumn] = useColumns();
  const [ticked, setTicked] = useState<readonly string[]>([]);
  const tick = {
    chosen: ticked,
    // The two that were ticked last.
    onChoose: (id: string, chosen: boolean) => setTicked(chosen ? [...ticked, id].slice(-2) : ticked.filter((other) => other !== id)),
  };
  // Who sees their own flows only needs no column for the user.
  const shown = own === null ? columns : new Set([...columns].filter((id) => id !== "user"));
  return (
    <div className={styles["page"]}>
      <div className={styles["head"]}>
        <h1>Flows</h1>
        <SearchBox />
        <IconButton icon={RefreshCw} label="Read the list again" onPress={() => setRound(round + 1)} />
        <span className="quiet" role="status" data-testid="flow-count">
          {flows.length > 0 && howMany(flows.length, found.hasNextPage, first?.count)}
        </span>
        <ClearFilters />
        <span className={styles["end"]}>
          {isNarrowed(query) && (
            <Button icon={GitCompare} onPress={() => go(againstTheRest(query))} testId="what-is-different">
              What is different
            </Button>
          )}
          <ExportMenu label="Export these flows" formats={FORMATS} urlOf={(format) => flowsExport(filters, format)} />
          <ViewsMenu />
          <ColumnsMenu shown={columns} onChoose={chooseColumn} />
        </span>
      </div>
      <FilterBar own={own} />
      {found.error !== null && (
        <Notice kind="problem" action={<Button onPress={() => void found.refetch()}>Try again</Button>}>
          {found.error.message}
        </Notice>
      )}
      {first?.without_running === true && (
        <Notice kind="problem">The viewer has no connection to Redis: flows that run right now are missing in this list.</Notice>
      )}
      {found.isPending ? (
        <Loading label="Flows are loading" />
      ) : found.error !== null && flows.length === 0 ? null : flows.length === 0 ? (
        <Suspense fallback={<Loading label="Flows are loading" />}>
          <NoFlows />
        </Suspense>
      ) : (
        <FlowTable
          flows={flows}
          columns={shown}
          tick={tick}
          more={found.hasNextPage}
          loading={found.isFetchingNextPage}
          onMore={() => void found.fetchNextPage()}
        />
      )}
      {first?.searched_until !== undefined && found.hasNextPage && (
        <Button onPress={() => void found.fetchNextPage()}>Search further back than {first.searched_until}</Button>
      )}
      <Suspense fallback={null}>{ticked.length > 0 && <CompareBar chosen={ticked} onClear={() => setTicked([])} />}</Suspense>
    </div>
  );
}

/** How many there are: exactly once all have been read, before that what the viewer estimates. */
function howMany(loaded: number, more: boolean, count: FlowPage["count"]): string {
  if (!more) return loaded === 1 ? "1 flow" : `${loaded.toLocaleString()} flows`;
  // The planner's estimate may be less than what stands here already.
  if (count === undefined || count.value <= loaded) return `more than ${loaded.toLocaleString()} flows`;
  return `${count.kind === "exact" ? "" : count.kind === "at_least" ? "more than " : "about "}${count.value.toLocaleString()} flows`;
}

/** Words are searched when the typing pauses. */
function SearchBox() {
  const { route, change } = useNavigation();
  const stands = one(route.query, "q") ?? "";
  const [text, setText] = useState(stands);
  const box = useRef<HTMLDivElement>(null);
  const wanted = useDelayed(text.trim(), TYPING_MS);
  useEffect(() => {
    if (wanted !== (one(route.query, "q") ?? "")) change({ q: wanted }, "replace");
  }, [wanted]);
  useEffect(() => {
    // Another view was opened, by a link or by going back.
    if (stands !== text.trim() && stands !== wanted) setText(stands);
  }, [stands]);
  useShortcuts([{ keys: "/", text: "Search", group: "Lists", run: () => box.current?.querySelector("input")?.focus() }]);
  return (
    <div ref={box} className={styles["search"]}>
      <Search size={15} aria-hidden="true" />
      <TextField
        label="Words in names, messages and attributes"
        hideLabel
        placeholder="Search names, messages, attributes"
        value={text}
        onChange={setText}
        type="search"
        testId="flow-search"
      />
    </div>
  );
}
