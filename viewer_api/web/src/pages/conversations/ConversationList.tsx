import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { listConversations } from "../../api/conversations";
import { onlyThemselves } from "../../api/session";
import { useSignedIn } from "../../app/session";
import { PersonSearch } from "../../components/PersonSearch";
import { useDelayed } from "../../hooks/useDelayed";
import { one, several, type Query } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { Select, TextField } from "../../ui/Field";
import { Empty, Loading, Notice } from "../../ui/Notice";
import { Page } from "../../ui/Page";
import { FilterChips } from "../flows/FilterChips";
import { RANGES, USUAL_RANGE } from "../flows/filters";
import { MoreFilters } from "../flows/MoreFilters";
import { ConversationTable } from "./ConversationTable";

const TYPED = ["tool", "mcp_server"];
const NUMBERS = ["min_tool_calls", "min_tokens"];
const FILTERS = ["q", "user_id", ...TYPED, ...NUMBERS];

/** All conversations, newest first; filters are in the address. */
export function ConversationList() {
  const { route, change, go } = useNavigation();
  const own = onlyThemselves(useSignedIn());
  const [text, setText] = useState(one(route.query, "q") ?? "");
  const wanted = useDelayed(text.trim(), 250);
  useEffect(() => change({ q: wanted }, "replace"), [wanted]);
  const filters = useMemo(() => asked(route.query, Date.now()), [JSON.stringify(route.query)]);
  const found = useInfiniteQuery({
    queryKey: ["conversations", filters],
    queryFn: ({ pageParam, signal }) => listConversations(filters, pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
    placeholderData: keepPreviousData,
  });
  const conversations = found.data?.pages.flatMap((page) => page.conversations) ?? [];
  const people = several(route.query, "user_id");
  return (
    <Page
      title="Conversations"
      testId="conversations-page"
      head={
        <>
          <TextField label="Words of the first message" hideLabel placeholder="Words of the first message" type="search" value={text} onChange={setText} testId="conversation-search" />
          <Select
            label="Time"
            hideLabel
            choices={RANGES}
            value={one(route.query, "range") ?? USUAL_RANGE}
            onChange={(range) => change({ range: range === USUAL_RANGE ? null : range })}
          />
          {own === null && <PersonSearch label="Person" hideLabel onChoose={({ userId }) => change({ user_id: [...people, userId] })} />}
          <MoreFilters typed={TYPED} numbers={NUMBERS} />
        </>
      }
    >
      <FilterChips own={own} />
      {found.error !== null && <Notice kind="problem">{found.error.message}</Notice>}
      {found.isPending ? (
        <Loading label="Conversations are loading" />
      ) : conversations.length === 0 ? (
        <Empty title={Object.keys(route.query).length === 0 ? "No conversation in the last 7 days" : "No conversation matches these filters"}>
          <p>
            A gateway records what was said with <code>record_user_message</code> and its siblings, under a conversation’s id.
          </p>
          <Button onPress={() => go({ ...route, query: { range: ["all"] } })}>Show all of any time</Button>
        </Empty>
      ) : (
        <ConversationTable conversations={conversations} withUser={own === null} />
      )}
      {found.hasNextPage && (
        <Button onPress={() => void found.fetchNextPage()} isDisabled={found.isFetchingNextPage}>
          Older conversations
        </Button>
      )}
    </Page>
  );
}

function asked(query: Query, nowMs: number): Query {
  const wanted = Object.fromEntries(Object.entries(query).filter(([name]) => FILTERS.includes(name)));
  const range = RANGES.find(({ id }) => id === (one(query, "range") ?? USUAL_RANGE));
  return range?.ms == null ? wanted : { ...wanted, since: [new Date(nowMs - range.ms).toISOString()] };
}
