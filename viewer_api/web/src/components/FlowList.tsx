import type { FlowSummary } from "../api/flows";
import { dateTime, duration } from "../format";
import { outcomeAppearance, reasonWords } from "../tree/appearance";
import { Sign } from "./Sign";

interface Props {
  readonly flows: readonly FlowSummary[];
  readonly chosen: string | null;
  readonly onChoose: (flowId: string) => void;
  readonly onMore: (() => void) | null;
}

export function FlowList({ flows, chosen, onChoose, onMore }: Props) {
  if (flows.length === 0) return <p className="quiet">No flow of this user is kept.</p>;
  return (
    <>
      <table className="flows" data-testid="flow-list">
        <thead>
          <tr>
            <th scope="col">Outcome</th>
            <th scope="col">Request</th>
            <th scope="col">Began</th>
            <th scope="col" className="number">Took</th>
            <th scope="col" className="number">Steps</th>
            <th scope="col" className="number">Errors</th>
            <th scope="col" className="number">Tokens</th>
            <th scope="col">Tools</th>
          </tr>
        </thead>
        <tbody>
          {flows.map((flow) => {
            const look = outcomeAppearance(flow.outcome, flow.open);
            return (
              <tr
                key={flow.flow_id}
                data-testid="flow-row"
                data-flow-id={flow.flow_id}
                data-look={look.look}
                aria-selected={flow.flow_id === chosen}
              >
                <td>
                  <Sign look={look} silent /> {look.words}
                  <span className="quiet">{howItEnded(flow)}</span>
                </td>
                <td>
                  <button type="button" className="link" onClick={() => onChoose(flow.flow_id)}>
                    {flow.name ?? flow.flow_id}
                  </button>
                </td>
                <td className="moment">{flow.started_at === null ? "–" : dateTime(flow.started_at)}</td>
                <td className="number">{flow.duration_ms === null ? "–" : duration(flow.duration_ms)}</td>
                <td className="number">{flow.checkpoint_count}</td>
                <td className="number">{flow.error_count}</td>
                <td className="number">{flow.tokens_input + flow.tokens_output}</td>
                <td>{flow.tools.join(", ")}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {onMore !== null && (
        <button type="button" onClick={onMore} data-testid="more">
          Older
        </button>
      )}
    </>
  );
}

/** At which gate a flow was refused and why, or what its request was answered. */
function howItEnded(flow: FlowSummary): string {
  const gate = flow.denied_gate === null ? "" : ` at ${flow.denied_gate}`;
  const why = flow.denied_reason ?? reasonWords(flow.outcome_reason);
  return why === null ? gate : `${gate}: ${why}`;
}
