import { Empty } from "../../ui/Notice";
import { Button } from "../../ui/Button";
import { useNavigation } from "../../navigation/useNavigation";
import { to } from "../../navigation/route";

/** Why the list is empty, and what makes a first flow. */
export function NoFlows({ filtered }: { readonly filtered: boolean }) {
  const { go } = useNavigation();
  if (filtered) {
    return (
      <Empty title="No flow matches these filters">
        <Button onPress={() => go(to("flows", null, { range: "all" }))}>Show all flows of any time</Button>
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
      <Button onPress={() => go(to("flows", null, { range: "all" }))}>Show older flows</Button>
    </Empty>
  );
}
