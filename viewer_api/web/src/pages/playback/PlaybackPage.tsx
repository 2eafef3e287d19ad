import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { readPlayback, type Played, type TimedMessage } from "../../api/playback";
import { Link } from "../../navigation/Link";
import { one, to, type Query } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { useName } from "../../hooks/useName";
import { Empty, Loading, Notice } from "../../ui/Notice";
import { RANGES } from "../flows/filters";
import { TimeRange } from "../flows/TimeRange";
import { PlayedFlows } from "./PlayedFlows";
import { Recording } from "./recording";
import styles from "./PlaybackPage.module.css";

const USUAL = "15m";
/** Of a longer time there is too much to be played. */
const PLAYED_RANGES = [{ id: "5m", text: "Last 5 minutes", ms: 300_000 }, ...RANGES.filter(({ ms }) => ms !== null && ms <= 86_400_000)];

/** The past, played again: `#/playback?flow_id=…`, `?conversation_id=…`, `?user_id=…&range=1h`. */
export default function PlaybackPage() {
  const { route } = useNavigation();
  const wanted = JSON.stringify(whatOf(route.query));
  const what = useMemo(() => JSON.parse(wanted) as What | null, [wanted]);
  return (
    <div className={styles["page"]} data-testid="playback-page">
      <div className={styles["head"]}>
        <h1>Playback</h1>
        {what !== null && <Subject what={what} />}
        {what?.kind === "user_id" && <TimeRange usual={USUAL} ranges={PLAYED_RANGES} title="What this user did between" />}
      </div>
      {what === null ? (
        <Empty title="There is nothing to play">
          <p>A flow, a conversation and a user’s page have a button that plays them.</p>
          <p>
            <Link to={to("flows")}>Go to the flows</Link>
          </p>
        </Empty>
      ) : (
        <Loaded key={wanted} what={what} />
      )}
    </div>
  );
}

interface What {
  readonly kind: "flow_id" | "conversation_id" | "user_id";
  readonly id: string;
  readonly range: string;
  readonly since: string | null;
  readonly until: string | null;
}

function whatOf(query: Query): What | null {
  const kind = (["flow_id", "conversation_id", "user_id"] as const).find((name) => one(query, name) !== null);
  if (kind === undefined) return null;
  const id = one(query, kind) ?? "";
  return { kind, id, range: one(query, "range") ?? USUAL, since: one(query, "since"), until: one(query, "until") };
}

function playedOf({ kind, id, range, since, until }: What, nowMs: number): Played {
  if (kind === "flow_id") return { flow_id: id };
  if (kind === "conversation_id") return { conversation_id: id };
  const ms = PLAYED_RANGES.find((each) => each.id === range)?.ms ?? 900_000;
  const begin = since ?? (until === null ? new Date(nowMs - ms).toISOString() : null);
  return { user_id: id, ...(begin === null ? {} : { since: begin }), ...(until === null ? {} : { until }) };
}

async function whole(what: What, signal: AbortSignal): Promise<Recording | null> {
  const played = playedOf(what, Date.now());
  const messages: TimedMessage[] = [];
  for (let first: number | null = 0; ; ) {
    const page = await readPlayback(played, first, signal);
    messages.push(...page.messages);
    first = page.next;
    if (page.started_ns === null) return null;
    if (first === null) return new Recording(BigInt(page.started_ns), page.duration_ms, messages);
  }
}

function Loaded({ what }: { readonly what: What }) {
  const { data, error } = useQuery({
    queryKey: ["playback", what],
    queryFn: ({ signal }) => whole(what, signal),
    staleTime: Infinity,
    gcTime: 0,
    // A recording is no plain data: it is never merged with the one before.
    structuralSharing: false,
  });
  if (error !== null) return <Notice kind="problem">{error.message}</Notice>;
  if (data === undefined) return <Loading label="The recording is loading" />;
  if (data === null) {
    return (
      <Empty title="Nothing happened in this time">
        <p>Flows that still run are played as soon as they have ended; one flow by itself also before.</p>
      </Empty>
    );
  }
  return <PlayedFlows recording={data} single={what.kind === "flow_id" ? what.id : null} />;
}

function Subject({ what: { kind, id } }: { readonly what: What }) {
  switch (kind) {
    case "flow_id":
      return <Link to={to("flow", id)}>Flow {id.slice(0, 8)}…</Link>;
    case "conversation_id":
      return <Link to={to("conversations", id)}>Conversation {id}</Link>;
    case "user_id":
      return <UserLink userId={id} />;
  }
}

function UserLink({ userId }: { readonly userId: string }) {
  return <Link to={to("users", userId)}>{useName(userId, undefined)}</Link>;
}
