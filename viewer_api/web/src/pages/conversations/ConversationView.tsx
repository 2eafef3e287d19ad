import { useInfiniteQuery } from "@tanstack/react-query";
import { CirclePlay } from "lucide-react";
import { lazy, Suspense, useMemo } from "react";
import { readConversation, type Conversation } from "../../api/conversations";
import { FORMATS, flowsExport } from "../../api/export";
import { Ago } from "../../components/Ago";
import { ExportMenu } from "../../components/ExportMenu";
import { count, money } from "../../format";
import { Link } from "../../navigation/Link";
import { one, to } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { Loading, Notice } from "../../ui/Notice";
import { Facts, Page } from "../../ui/Page";
import { Chat } from "./Chat";
import { lasted, titleOf } from "./ConversationTable";
import { turnsOf } from "./turns";

const Graph = lazy(() => import("./ConversationGraph"));
const REFRESH_MS = 5_000;

/** One conversation, as it was said; every turn leads to its flow. */
export function ConversationView({ id }: { readonly id: string }) {
  const { route, change, go } = useNavigation();
  const found = useInfiniteQuery({
    queryKey: ["conversation", id],
    queryFn: ({ pageParam, signal }) => readConversation(id, pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
    refetchInterval: ({ state }) => (state.data?.pages[0]?.open === true ? REFRESH_MS : false),
  });
  const turns = useMemo(
    () => turnsOf(found.data?.pages[0]?.turns ?? [], found.data?.pages.flatMap((page) => page.activities) ?? []),
    [found.data],
  );
  const head = found.data?.pages[0];
  if (head === undefined) {
    return found.error === null ? (
      <Loading label="The conversation is loading" />
    ) : (
      <Page title={`Conversation ${id}`}>
        <Notice kind="problem">{found.error.message}</Notice>
      </Page>
    );
  }
  const cost = head.estimated_cost ?? costOf(head);
  const graph = one(route.query, "view") === "graph";
  return (
    <Page
      title={titleOf(head)}
      testId="conversation-view"
      head={head.user_id !== null && <Link to={to("users", String(head.user_id))}>{head.full_name ?? head.email ?? `user ${head.user_id}`}</Link>}
      actions={
        <>
          <Button icon={CirclePlay} onPress={() => go(to("playback", null, { conversation_id: id }))} testId="play-conversation">
            Play
          </Button>
          <ExportMenu words label="Export its flows" formats={FORMATS} urlOf={(format) => flowsExport({ conversation_id: [id] }, format)} />
          <Button onPress={() => change({ view: graph ? null : "graph" })} testId="conversation-graph-toggle">
            {graph ? "As a chat" : "As a graph"}
          </Button>
        </>
      }
    >
      {found.error !== null && <Notice kind="problem">{found.error.message}</Notice>}
      {head.truncated && <Notice>This conversation is too long to be shown in full.</Notice>}
      {head.turns_next !== null && <Notice>Only its first {head.turns.length} turns have their flows here.</Notice>}
      <Facts
        facts={[
          { name: "Turns", value: head.turns.length, note: head.open ? "still going on" : undefined },
          { name: "Tool calls", value: head.tool_calls },
          { name: "Tokens", value: count(head.total_tokens) },
          { name: "Cost", value: cost === null ? "–" : money(cost) },
          { name: "Lasted", value: lasted(head) },
          { name: "Began", value: head.started_at === null ? "–" : <Ago iso={head.started_at} /> },
        ]}
      />
      {graph ? (
        <Suspense fallback={<Loading label="The graph is loading" />}>
          <Graph turns={turns} />
        </Suspense>
      ) : (
        <Chat turns={turns} />
      )}
      {found.hasNextPage && (
        <Button onPress={() => void found.fetchNextPage()} isDisabled={found.isFetchingNextPage}>
          Load more
        </Button>
      )}
    </Page>
  );
}

/** What its turns cost, as far as that is known of them. */
function costOf({ turns }: Conversation): number | null {
  const costs = turns.flatMap(({ cost }) => (cost === null ? [] : [cost]));
  return costs.length === 0 ? null : costs.reduce((sum, cost) => sum + cost, 0);
}
