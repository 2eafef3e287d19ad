import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { CirclePlay } from "lucide-react";
import { useMemo, useState } from "react";
import { readUser, type Share, type UserDocument, type UserTotals } from "../../api/users";
import { useSignedIn } from "../../app/session";
import { Ago } from "../../components/Ago";
import { count, duration, money } from "../../format";
import { Link } from "../../navigation/Link";
import { one, to, type QueryChange } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { Chip, Chips } from "../../ui/Chip";
import { Select } from "../../ui/Field";
import { Loading, Notice } from "../../ui/Notice";
import { Facts, Page, Section } from "../../ui/Page";
import { ConversationTable } from "../conversations/ConversationTable";
import { RecentFlows } from "./RecentFlows";
import { EraseButton } from "./EraseButton";
import { WatchButton, WatchNote } from "./WatchButton";
import styles from "./UserView.module.css";

const RANGES = [
  { id: "1d", text: "Last 24 hours", days: 1 },
  { id: "7d", text: "Last 7 days", days: 7 },
  { id: "30d", text: "Last 30 days", days: 30 },
] as const;
const USUAL = "30d";

/** One user: how much, how fast, what went wrong, and what was last. */
export function UserView({ userId }: { readonly userId: string }) {
  const { route, change, go } = useNavigation();
  const session = useSignedIn();
  const [erased, setErased] = useState(false);
  const range = RANGES.find(({ id }) => id === one(route.query, "range")) ?? RANGES[2];
  // To the minute, so that the query stays the same.
  const since = useMemo(() => new Date(Math.floor(Date.now() / 60_000) * 60_000 - range.days * 86_400_000).toISOString(), [range]);
  const { data: user, error, refetch } = useQuery({
    queryKey: ["user", userId, since],
    queryFn: ({ signal }) => readUser(userId, since, signal),
    placeholderData: keepPreviousData,
    refetchInterval: 15_000,
    // Then there is no such user any more.
    enabled: !erased,
  });
  if (user === undefined) {
    return error === null ? (
      <Loading label="The user is loading" />
    ) : (
      <Page title={`User ${userId}`}>
        <Notice kind="problem">{error.message}</Notice>
      </Page>
    );
  }
  const flows = (more: QueryChange) => to("flows", null, { user_id: userId, range: range.id === "1d" ? "24h" : range.id, ...more });
  return (
    <Page
      title={user.full_name ?? user.email ?? `User ${userId}`}
      testId="user-view"
      about={
        <>
          {[user.full_name === null ? null : user.email, `id ${userId}`, user.team].filter((text) => text !== null).join(" · ")}
          <WatchNote user={user} />
        </>
      }
      head={
        <Select
          label="Time"
          hideLabel
          choices={RANGES}
          value={range.id}
          onChange={(id) => change({ range: id === USUAL ? null : id })}
          testId="user-range"
        />
      }
      actions={
        <>
          {user.watch !== undefined && <WatchButton user={user} onChanged={() => void refetch()} />}
          <Button icon={CirclePlay} onPress={() => go(to("playback", null, { user_id: userId }))} testId="play-user">
            Play
          </Button>
          {session.rights.includes("erase") && (
            <EraseButton person={{ userId, email: user.email, fullName: user.full_name }} onErased={() => setErased(true)} onDone={() => go(to("users"))} />
          )}
        </>
      }
    >
      {error !== null && <Notice kind="problem">{error.message}</Notice>}
      {user.totals.partial && <Notice>There are more flows in this range than are added up here.</Notice>}
      <Totals user={user} flows={flows} />
      <div className={styles["columns"]}>
        <Section title="Last flows">
          <RecentFlows flows={user.recent_flows} />
          <Link to={flows({})}>All flows</Link>
        </Section>
        <Section title="Last conversations">
          <ConversationTable conversations={user.recent_conversations} withUser={false} />
          <Link to={to("conversations", null, { user_id: userId })}>All conversations</Link>
        </Section>
      </div>
    </Page>
  );
}

function Totals({ user, flows }: { readonly user: UserDocument; readonly flows: (more: QueryChange) => ReturnType<typeof to> }) {
  const { totals } = user;
  const ms = (value: number | null) => (value === null ? "–" : duration(value));
  return (
    <>
      <Facts
        testId="user-facts"
        facts={[
          { name: "Flows", value: <Link to={flows({})}>{totals.flows.toLocaleString()}</Link>, note: running(user) },
          { name: "Took (p95)", value: ms(totals.p95_ms), note: `p50 ${ms(totals.p50_ms)}` },
          { name: "Errors", value: <Link to={flows({ outcome: "error" })}>{totals.errors.toLocaleString()}</Link>, note: share(totals.errors, totals) },
          { name: "Denials", value: <Link to={flows({ outcome: "denied" })}>{totals.denied.toLocaleString()}</Link>, note: gates(totals) },
          { name: "Tokens", value: count(totals.tokens_input + totals.tokens_output), note: `${count(totals.tokens_input)} in, ${count(totals.tokens_output)} out` },
          { name: "Cost", value: totals.cost === null ? "–" : money(totals.cost) },
          { name: "Conversations", value: totals.conversations.toLocaleString(), note: `${totals.sessions.toLocaleString()} sessions` },
          {
            name: "Last seen",
            value: user.last_seen === null ? "–" : <Ago iso={user.last_seen} />,
            note: user.first_seen === null ? undefined : <>first <Ago iso={user.first_seen} /></>,
          },
        ]}
      />
      <Shares title="Tools" shares={totals.tools} link={(tool) => flows({ tool })} />
    </>
  );
}

function running({ running_flows: now }: UserDocument): string {
  if (now === null) return "what runs is not known";
  return now === 0 ? "none running" : `${now} running`;
}

function share(part: number, { flows }: UserTotals): string {
  return flows === 0 ? "" : `${((part / flows) * 100).toFixed(1)} %`;
}

function gates({ denied_by_gate: byGate }: UserTotals): string {
  return Object.entries(byGate)
    .map(([gate, times]) => `${times} at ${gate}`)
    .join(", ");
}

function Shares({ title, shares, link }: { readonly title: string; readonly shares: readonly Share[]; readonly link: (name: string) => ReturnType<typeof to> }) {
  if (shares.length === 0) return null;
  return (
    <Section title={title}>
      <Chips>
        {shares.map(({ name, flows }) => (
          <Chip key={name} title={name} look="tool">
            <Link to={link(name)}>{name}</Link> {flows.toLocaleString()}
          </Chip>
        ))}
      </Chips>
    </Section>
  );
}
