import type { AlertEvent, Delivery, Rule } from "../../api/alerts";
import { Ago } from "../../components/Ago";
import { dateTime } from "../../format";
import { Link } from "../../navigation/Link";
import { Chip, type Look } from "../../ui/Chip";
import { Table } from "../../ui/Page";
import { flowsAt } from "../flows/filters";
import { thresholdText, valueWords } from "./words";
import styles from "./AlertsPage.module.css";

const MOST_LOSSES = 3;

/** When rules fired, escalated, flapped and were resolved. */
export function EventTable({ events }: { readonly events: readonly AlertEvent[] }) {
  if (events.length === 0) return <p className="quiet">No rule has fired yet.</p>;
  return (
    <Table label="History" head={["When", "Rule", "Event", { text: "Value", number: true }, { text: "Threshold", number: true, wideOnly: true }, "Flows"]}>
      {events.map((event) => (
        <tr key={event.event_id} data-testid="alert-event" data-kind={event.kind}>
          <td>
            <Ago iso={event.at} />
          </td>
          <td className={styles["wide"]}>{event.name}</td>
          <td>
            <Chip look={event.kind === "firing" || event.kind === "escalated" ? (event.level === "warning" ? "warning" : "error") : "ok"}>{event.kind}</Chip>
            {event.level === "warning" && <span className="quiet"> {event.level}</span>}
          </td>
          <td className="number">{valueWords(event.value, event.unit)}</td>
          <td className="number wide-only">{thresholdText(event.threshold, event.unit)}</td>
          <td className={styles["wide"]}>
            {event.flows !== null && <Link to={flowsAt(event.flows)} className={styles["link"] ?? ""}>Show the flows</Link>}
            {event.losses.slice(0, MOST_LOSSES).map(({ service, process, cause, number }) => (
              <div key={`${process} ${cause}`} title={process} data-testid="alert-loss">
                {service ?? process}: {number.toLocaleString()} <span className="quiet">{cause}</span>
              </div>
            ))}
            {event.flows === null && event.losses.length === 0 && <span className="quiet">–</span>}
          </td>
        </tr>
      ))}
    </Table>
  );
}

const LOOKS: Readonly<Record<string, Look>> = { delivered: "ok", failed: "error", retrying: "warning" };

/** Why nothing was sent, though something happened. */
const KEPT_BACK: Readonly<Record<string, string>> = {
  cooldown: "in its cooldown",
  snoozed: "the rule is snoozed",
  not_announced: "its start was not sent either",
};

/** What was sent or not, and why not. */
export function DeliveryTable({ deliveries, rules }: { readonly deliveries: readonly Delivery[]; readonly rules: readonly Rule[] }) {
  if (deliveries.length === 0) return <p className="quiet">Nothing was sent yet.</p>;
  return (
    <Table label="Deliveries" head={["When", "Rule", "Channel", "Outcome", { text: "Attempts", number: true, wideOnly: true }, "Reason"]}>
      {deliveries.map((delivery) => (
        <tr key={delivery.delivery_id} data-testid="delivery">
          <td>
            <Ago iso={delivery.created_at} />
          </td>
          <td className={styles["wide"]}>{rules.find(({ rule_id }) => rule_id === delivery.rule_id)?.name ?? <span className="quiet">–</span>}</td>
          <td className={styles["wide"]}>
            {delivery.channel} <span className="quiet">{delivery.kind}</span>
          </td>
          <td data-outcome={delivery.outcome}>
            <Chip {...(LOOKS[delivery.outcome] === undefined ? {} : { look: LOOKS[delivery.outcome] })}>{delivery.outcome}</Chip>
          </td>
          <td className="number wide-only">{delivery.attempts}</td>
          <td className={styles["wide"]}>
            {delivery.problem === null ? <span className="quiet">–</span> : (KEPT_BACK[delivery.problem] ?? delivery.problem)}
            {delivery.due_at !== null && <span className="quiet"> again at {dateTime(delivery.due_at)}</span>}
          </td>
        </tr>
      ))}
    </Table>
  );
}
