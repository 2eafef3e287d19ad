import { useQuery } from "@tanstack/react-query";
import { searchFlows } from "../../api/flows";
import { Ago } from "../../components/Ago";
import { StateSign } from "../../components/StateSign";
import { duration } from "../../format";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { outcomeAppearance } from "../../tree/appearance";
import styles from "./LastFlows.module.css";

const SHOWN = 5;

/** The last flows of a watched user with nothing running: a panel is not empty as long as there is something to show. */
export function LastFlows({ userId }: { readonly userId: string }) {
  const { data } = useQuery({
    queryKey: ["last flows", userId],
    queryFn: ({ signal }) => searchFlows({ user_id: [userId] }, undefined, signal),
  });
  const flows = data?.flows.slice(0, SHOWN) ?? [];
  if (flows.length === 0) return null;
  return (
    <ul className={styles["list"]} aria-label="Last flows" data-testid="last-flows">
      {flows.map((flow) => (
        <li key={flow.flow_id} className={styles["flow"]}>
          <StateSign look={outcomeAppearance(flow.outcome, flow.open)} />
          <Link to={to("flow", flow.flow_id)} className="truncate">
            {flow.name ?? flow.flow_id}
          </Link>
          <span className={styles["facts"]}>
            {flow.duration_ms === null ? "" : `${duration(flow.duration_ms)} · `}
            {flow.started_at !== null && <Ago iso={flow.started_at} />}
          </span>
        </li>
      ))}
    </ul>
  );
}
