import { useCallback, useMemo, useState, type CSSProperties } from "react";
import { addressOf } from "../../components/clipboard";
import { FlowCard } from "../../components/FlowCard";
import { FlowVerdict } from "../../components/FlowVerdict";
import { SpanDetails } from "../../components/SpanDetails";
import { SpanTree } from "../../components/SpanTree";
import { StateSign } from "../../components/StateSign";
import { TimeAxis } from "../../components/TimeAxis";
import { useFlowTree } from "../../hooks/useFlowTree";
import { useLaneWidth } from "../../hooks/useLaneWidth";
import { useName } from "../../hooks/useName";
import type { FlowModel, LiveFlows } from "../../live/liveFlows";
import { one, to } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { label } from "../../tree/appearance";
import { connectionOf } from "../../tree/connection";
import { UNFOCUSED } from "../../tree/rows";
import { PlayerBar } from "./PlayerBar";
import type { Recording } from "./recording";
import { SPEEDS, usePlayer } from "./usePlayer";
import styles from "./PlaybackPage.module.css";

/** What is played of one flow, conversation or user; null for who did nothing in the time. */
export interface PlayedPart {
  readonly id: string;
  readonly recording: Recording | null;
}

interface Props {
  /** All of it, for the clock. */
  readonly recording: Recording;
  readonly parts: readonly PlayedPart[];
  readonly kind: "flow_id" | "conversation_id" | "user_id";
}

interface Chosen {
  readonly part: string;
  readonly flowId: string;
  readonly nodeId: string;
}

/** Flows as they were at the moment that is played. */
export function PlayedFlows({ recording, parts, kind }: Props) {
  const { route, change } = useNavigation();
  const speed = SPEEDS.find((each) => String(each) === one(route.query, "speed")) ?? 1;
  const skipIdle = one(route.query, "idle") === "skip";
  const at = one(route.query, "at");
  const player = usePlayer(recording, speed, skipIdle, at === null ? null : Number(at));
  const [chosen, choose] = useState<Chosen | null>(null);
  const nowNs = recording.startedNs + BigInt(Math.round(player.atMs * 1e6));
  const now = parts.map(({ id, recording: part }) => ({ id, flows: part?.at(player.atMs) }));
  const node =
    chosen === null
      ? undefined
      : now
          .find(({ id }) => id === chosen.part)
          ?.flows?.flows.get(chosen.flowId)
          ?.tree(nowNs)
          .nodes.get(chosen.nodeId);
  return (
    <>
      <PlayerBar
        recording={recording}
        player={player}
        speed={speed}
        onSpeed={(next) => change({ speed: next === 1 ? null : String(next) }, "replace")}
        skipIdle={skipIdle}
        onSkipIdle={(skip) => change({ idle: skip ? "skip" : null }, "replace")}
      />
      <div className={styles["stage"]} data-details={node !== undefined}>
        <div className={styles["parts"]} data-several={parts.length > 1}>
          {now.map(({ id, flows }) => (
            <Part
              key={id}
              id={id}
              flows={flows}
              single={kind === "flow_id"}
              named={parts.length > 1}
              recording={recording}
              nowNs={nowNs}
              chosen={chosen?.part === id ? chosen : null}
              onChoose={choose}
            />
          ))}
        </div>
        {chosen !== null && node !== undefined && (
          <aside className={styles["details"]} aria-label="Details">
            <SpanDetails
              flowId={chosen.flowId}
              node={node}
              nowNs={nowNs}
              link={addressOf(to("flow", chosen.flowId, { span: chosen.nodeId }))}
              onClose={() => choose(null)}
            />
          </aside>
        )}
      </div>
    </>
  );
}

interface PartProps {
  readonly id: string;
  readonly flows: LiveFlows | undefined;
  readonly single: boolean;
  /** Whether it says whose flows these are. */
  readonly named: boolean;
  readonly recording: Recording;
  readonly nowNs: bigint;
  readonly chosen: Chosen | null;
  readonly onChoose: (chosen: Chosen | null) => void;
}

/** What one of those who are played together had done by the moment that is shown. */
function Part({ id, flows, single, named, recording, nowNs, chosen, onChoose }: PartProps) {
  const onSelect = useCallback(
    (flowId: string, nodeId: string | null) => onChoose(nodeId === null ? null : { part: id, flowId, nodeId }),
    [id, onChoose],
  );
  const of = (flowId: string) => ({ selected: chosen?.flowId === flowId ? chosen.nodeId : null, onSelect });
  const models = flows?.newestFirst().filter((model) => model.size > 0 && (single || connectionOf(model) === null)) ?? [];
  const alone = single ? flows?.flows.get(id) : undefined;
  return (
    <div className={styles["flows"]} data-single={single} data-testid="played-part">
      {named && <PartName userId={id} />}
      {single
        ? alone !== undefined && <OneFlow model={alone} version={alone.version} recording={recording} nowNs={nowNs} {...of(id)} />
        : models.map((model, index) => (
            <FlowCard key={model.flowId} model={model} version={model.version} followed atNs={nowNs} unfolded={index === 0 || model.open} {...of(model.flowId)} />
          ))}
      {named && models.length === 0 && (
        <p className={`${styles["nothing"]} quiet`}>{flows === undefined ? "Nothing happened in this time." : "Nothing had started yet at this moment."}</p>
      )}
    </div>
  );
}

function PartName({ userId }: { readonly userId: string }) {
  return <h2 className={`${styles["name"]} truncate`}>{useName(userId, undefined)}</h2>;
}

interface OneProps {
  readonly model: FlowModel;
  readonly version: number;
  readonly recording: Recording;
  readonly nowNs: bigint;
  readonly selected: string | null;
  readonly onSelect: (flowId: string, nodeId: string | null) => void;
}

/** One flow by itself: its bars grow over the time of all of it. */
function OneFlow({ model, version, recording, nowNs, selected, onSelect }: OneProps) {
  const [focus, setFocus] = useState(UNFOCUSED);
  const [lane, setLane] = useLaneWidth();
  const shown = useFlowTree(model, version, true, nowNs);
  const whole = useMemo(
    () => ({ startNs: recording.startedNs, endNs: recording.startedNs + BigInt(Math.max(Math.round(recording.durationMs * 1e6), 1)) }),
    [recording],
  );
  if (shown === undefined) return null;
  const root = shown.tree.roots[0];
  const title = root === undefined ? model.flowId : label(root);
  return (
    <article className={styles["one"]} data-testid="flow" data-look={shown.look.look} data-open={model.open}>
      <h2 className={styles["title"]}>
        <StateSign look={shown.look} />
        <span className="truncate">{title}</span>
        <FlowVerdict look={shown.look} verdict={shown.verdict} />
      </h2>
      <div className={styles["tree"]} style={{ "--lane": lane } as CSSProperties}>
        <SpanTree
          tree={shown.tree}
          timeline={whole}
          nowNs={shown.nowNs}
          label={title}
          focus={focus}
          onFocus={setFocus}
          selected={selected}
          onSelect={(nodeId) => onSelect(model.flowId, nodeId)}
          rootLook={shown.rootLook}
          follow={model.open}
          header={<TimeAxis timeline={whole} zeroNs={whole.startNs} lane={lane} onLane={setLane} />}
        />
      </div>
    </article>
  );
}
