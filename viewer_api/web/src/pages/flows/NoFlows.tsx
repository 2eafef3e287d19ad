import { Button } from "../../ui/Button";
import { Empty } from "../../ui/Notice";
import { useNavigation } from "../../navigation/useNavigation";
import { to } from "../../navigation/route";
import { hidesConnections } from "./filters";
import styles from "./FlowsPage.module.css";

/** Why the list is empty, and what makes a first flow. */
export default function NoFlows() {
  const { route, go, change } = useNavigation();
  const hidden = hidesConnections(route.query);
  const why = hidden && <p>Open connections, health checks and other requests without a step are hidden.</p>;
  const actions = (older: string) => (
    <div className={styles["actions"]}>
      <Button onPress={() => go(to("flows", null, { range: "all" }))}>{older}</Button>
      {hidden && <Button onPress={() => change({ connections: "show" })}>Show requests without steps</Button>}
    </div>
  );
  if (Object.keys(route.query).length > 0) {
    return (
      <Empty title="No flow matches these filters">
        {why}
        {actions("Show all flows of any time")}
      </Empty>
    );
  }
  return (
    <Empty title="No flow in the last 7 days">
      <p>Start your gateway with tracing switched on, and send it a request:</p>
      <pre tabIndex={0}>spanflow run -- uvicorn app:app</pre>
      <p>
        Nothing after that? <code>spanflow doctor</code> says what is wrong.
      </p>
      {why}
      {actions("Show older flows")}
    </Empty>
  );
}
