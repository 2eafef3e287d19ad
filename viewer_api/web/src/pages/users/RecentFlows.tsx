import type { FlowSummary } from "../../api/flows";
import { Ago } from "../../components/Ago";
import { StateSign } from "../../components/StateSign";
import { duration } from "../../format";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { outcomeAppearance } from "../../tree/appearance";
import { requestText } from "../../tree/requestText";
import { Table } from "../../ui/Page";
import { usePreviews } from "../flows/usePreviews";
import styles from "./RecentFlows.module.css";

/** A few flows, with what was asked. */
export function RecentFlows({ flows }: { readonly flows: readonly FlowSummary[] }) {
  const previewOf = usePreviews(flows);
  if (flows.length === 0) return <p className="quiet">None yet.</p>;
  return (
    <Table label="Last flows" head={[{ text: "Outcome", hidden: true }, "Request", { text: "Took", number: true }, "Began"]} testId="recent-flows">
      {flows.map((flow) => (
        <tr key={flow.flow_id}>
          <td>
            <StateSign look={outcomeAppearance(flow.outcome, flow.open)} />
          </td>
          <td className={styles["request"]}>
            <Link to={to("flow", flow.flow_id)}>{requestText(flow, previewOf(flow))}</Link>
          </td>
          <td className={`${styles["tight"]} number`}>{flow.duration_ms === null ? "–" : duration(flow.duration_ms)}</td>
          <td className={styles["tight"]}>{flow.started_at === null ? "–" : <Ago iso={flow.started_at} />}</td>
        </tr>
      ))}
    </Table>
  );
}
