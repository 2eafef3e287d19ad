import { useQuery } from "@tanstack/react-query";
import { memo } from "react";
import { searchFlows } from "../../api/flows";
import { useSignedIn } from "../../app/session";
import { Ago } from "../../components/Ago";
import { StateSign } from "../../components/StateSign";
import { duration } from "../../format";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { outcomeAppearance } from "../../tree/appearance";
import { requestText } from "../../tree/requestText";
import { usePreviews } from "../flows/usePreviews";
import styles from "./LastFlows.module.css";

interface Props {
  readonly userId: string;
  /** The ids of flows that the panel shows already, separated by spaces. */
  readonly without: string;
  readonly count: number;
}

/** What a user did before: a panel is not empty as long as there is something to show. */
export const LastFlows = memo(function LastFlows({ userId, without, count }: Props) {
  const session = useSignedIn();
  const { data } = useQuery({
    queryKey: ["last flows", userId],
    queryFn: ({ signal }) => searchFlows({ user_id: [userId], stepless: ["hide"] }, undefined, signal),
    staleTime: Infinity,
    enabled: session.rights.includes("read"),
  });
  const flows = (data?.flows ?? []).filter((flow) => !without.includes(flow.flow_id)).slice(0, count);
  const previewOf = usePreviews(flows);
  if (flows.length === 0) return null;
  return (
    <section className={styles["last"]}>
      <h3 className={styles["title"]}>Last flows</h3>
      <ul className={styles["list"]} aria-label="Last flows" data-testid="last-flows">
        {flows.map((flow) => (
          <li key={flow.flow_id} className={styles["flow"]}>
            <StateSign look={outcomeAppearance(flow.outcome, flow.open)} />
            <Link to={to("flow", flow.flow_id)} className={`${styles["name"]} truncate`} title={flow.name ?? flow.flow_id}>
              {requestText(flow, previewOf(flow))}
            </Link>
            <span className={styles["facts"]}>
              {flow.duration_ms === null ? "" : `${duration(flow.duration_ms)} · `}
              {flow.started_at !== null && <Ago iso={flow.started_at} />}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
});
