import type { AlertEvent, Delivery } from "../../api/alerts";
import { Ago } from "../../components/Ago";
import { dateTime } from "../../format";
import { Link } from "../../navigation/Link";
import { Table } from "../../ui/Page";
import { flowsAt } from "../flows/filters";
import { valueWords } from "./words";
import styles from "./AlertsPage.module.css";

/** When rules fired, escalated, flapped and were resolved. */
export function EventTable({ events }: { readonly events: readonly AlertEvent[] }) {
  if (events.length === 0) return <p className="quiet">No rule has fired yet.</p>;
  return (
    <Table label="What happened" head={["When", "Rule", "What", "Value", "Flows"]}>
      {events.map((event) => (
        <tr key={event.event_id} data-testid="alert-event" data-kind={event.kind}>
          <td>
            <Ago iso={event.at} />
          </td>
          <td className={styles["wide"]}>{event.name}</td>
          <td>
            {event.kind}
            {event.level !== null && <span className="quiet"> ({event.level})</span>}
          </td>
          <td>
            {valueWords(event.value, event.unit)}
            {event.threshold !== null && <span className="quiet"> of {valueWords(event.threshold, event.unit)}</span>}
          </td>
          <td>{event.flows === null ? <span className="quiet">–</span> : <Link to={flowsAt(event.flows)}>The flows</Link>}</td>
        </tr>
      ))}
    </Table>
  );
}

/** What was sent or not, and why not. */
export function DeliveryTable({ deliveries }: { readonly deliveries: readonly Delivery[] }) {
  if (deliveries.length === 0) return <p className="quiet">Nothing was sent yet.</p>;
  return (
    <Table label="Deliveries" head={["When", "Channel", "Outcome", "Attempts", "Why"]}>
      {deliveries.map((delivery) => (
        <tr key={delivery.delivery_id} data-testid="delivery">
          <td>
            <Ago iso={delivery.created_at} />
          </td>
          <td className={styles["wide"]}>
            {delivery.channel} <span className="quiet">{delivery.kind}</span>
          </td>
          <td data-outcome={delivery.outcome}>{delivery.outcome}</td>
          <td>{delivery.attempts}</td>
          <td className={styles["wide"]}>
            {delivery.problem ?? <span className="quiet">–</span>}
            {delivery.due_at !== null && <span className="quiet"> again at {dateTime(delivery.due_at)}</span>}
          </td>
        </tr>
      ))}
    </Table>
  );
}
