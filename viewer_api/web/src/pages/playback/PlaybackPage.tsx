import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { readPlayback, type Played } from "../../api/playback";
import { PersonSearch } from "../../components/PersonSearch";
import { Link } from "../../navigation/Link";
import { one, several, to, type Query } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { useName } from "../../hooks/useName";
import { Empty, Loading, Notice } from "../../ui/Notice";
import { RANGES } from "../flows/filters";
import { TimeRange } from "../flows/TimeRange";
import { PlayedFlows, type PlayedPart } from "./PlayedFlows";
import { Recording, together } from "./recording";
import styles from "./PlaybackPage.module.css";

const USUAL = "15m";
/** More panels would be too narrow to read. */
const MOST_USERS = 6;
/** Of a longer time there is too much to be played. */
const PLAYED_RANGES = [{ id: "5m", text: "Last 5 minutes", ms: 300_000 }, ...RANGES.filter(({ ms }) => ms !== null && ms <= 86_400_000)];

/** The past, played again: `#/playback?flow_id=…`, `?conversation_id=…`, `?user_id=…&user_id=…&range=1h`. */
export default function PlaybackPage() {
  const { route, change } = useNavigation();
  const wanted = JSON.stringify(whatOf(route.query));
  const what = useMemo(() => JSON.parse(wanted) as What | null, [wanted]);
  return (
    <div className={styles["page"]} data-testid="playback-page">
      <div className={styles["head"]}>
        <h1>Playback</h1>
        {what !== null && <Subject what={what} />}
        {what?.kind === "user_id" && (
          <>
            <TimeRange usual={USUAL} ranges={PLAYED_RANGES} title="Activity between" />
            {what.ids.length < MOST_USERS && (
              <PersonSearch label="Play another user beside" hideLabel placeholder="Add another user" onChoose={({ userId }) => change({ user_id: [...new Set([...what.ids, userId])] })} />
            )}
          </>
        )}
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

interface PlayedTogether {
  readonly all: Recording;
  readonly parts: readonly PlayedPart[];
}

interface What {
  readonly kind: "flow_id" | "conversation_id" | "user_id";
  /** Of users there may be several, played side by side. */
  readonly ids: readonly string[];
  readonly range: string;
  readonly since: string | null;
  readonly until: string | null;
}

function whatOf(query: Query): What | null {
  const kind = (["flow_id", "conversation_id", "user_id"] as const).find((name) => one(query, name) !== null);
  if (kind === undefined) return null;
  const ids = kind === "user_id" ? several(query, kind).slice(0, MOST_USERS) : several(query, kind).slice(0, 1);
  return { kind, ids, range: one(query, "range") ?? USUAL, since: one(query, "since"), until: one(query, "until") };
}

function playedOf({ kind, range, since, until }: What, id: string, nowMs: number): Played {
  if (kind === "flow_id") return { flow_id: id };
  if (kind === "conversation_id") return { conversation_id: id };
  const ms = PLAYED_RANGES.find((each) => each.id === range)?.ms ?? 900_000;
  const begin = since ?? (until === null ? new Date(nowMs - ms).toISOString() : null);
  // What begins while it is read is no part of it.
  return { user_id: id, ...(begin === null ? {} : { since: begin }), until: until ?? new Date(nowMs).toISOString() };
}

async function whole(played: Played, signal: AbortSignal): Promise<Recording | null> {
  const { started_ns: startedNs, duration_ms: durationMs, messages } = await readPlayback(played, signal);
  return startedNs === null ? null : new Recording(BigInt(startedNs), durationMs, messages);
}

/** What is played, on one clock; null where nothing happened. */
async function recorded(what: What, signal: AbortSignal): Promise<PlayedTogether | null> {
  const nowMs = Date.now();
  const found = await Promise.all(what.ids.map((id) => whole(playedOf(what, id, nowMs), signal)));
  const clock = together(found.filter((each) => each !== null));
  if (clock === null) return null;
  const left = [...clock.each];
  // Who did nothing in this time has a panel that says so.
  return { all: clock.all, parts: what.ids.map((id, index) => ({ id, recording: found[index] === null ? null : (left.shift() ?? null) })) };
}

function Loaded({ what }: { readonly what: What }) {
  const { data, error } = useQuery({
    queryKey: ["playback", what],
    queryFn: ({ signal }) => recorded(what, signal),
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
  return <PlayedFlows recording={data.all} parts={data.parts} kind={what.kind} />;
}

function Subject({ what: { kind, ids } }: { readonly what: What }) {
  const [id = ""] = ids;
  switch (kind) {
    case "flow_id":
      return <Link to={to("flow", id)}>Flow {id.slice(0, 8)}…</Link>;
    case "conversation_id":
      return <Link to={to("conversations", id)}>Conversation {id}</Link>;
    case "user_id":
      return ids.map((userId) => <UserLink key={userId} userId={userId} />);
  }
}

function UserLink({ userId }: { readonly userId: string }) {
  return <Link to={to("users", userId)}>{useName(userId, undefined)}</Link>;
}
