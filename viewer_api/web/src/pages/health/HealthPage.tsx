import { useQuery } from "@tanstack/react-query";
import { metrics, readiness, type Readiness, type Sample } from "../../api/health";
import { mayWatch } from "../../api/session";
import { useSignedIn } from "../../app/session";
import { Loading, Notice } from "../../ui/Notice";
import { Facts, Page, Section, Table } from "../../ui/Page";
import { losses, PARTS, type Part } from "./parts";

const REFRESH_MS = 5_000;

/** Whether everything is there that the viewer needs, what is missing without it, and what was lost. */
export default function HealthPage() {
  const mayReadMetrics = mayWatch(useSignedIn());
  const ready = useQuery({ queryKey: ["readiness"], queryFn: ({ signal }) => readiness(signal), refetchInterval: REFRESH_MS });
  const numbers = useQuery({ queryKey: ["metrics"], queryFn: ({ signal }) => metrics(signal), refetchInterval: REFRESH_MS, enabled: mayReadMetrics });
  return (
    <Page title="Health" testId="health-page" head={ready.data !== undefined && <span data-testid="health-status">{ready.data.status === "ok" ? "Everything works" : ready.data.status}</span>}>
      {ready.error !== null && <Notice kind="problem">{ready.error.message}</Notice>}
      {ready.data === undefined ? ready.error === null && <Loading label="The state is loading" /> : <Parts ready={ready.data} />}
      {mayReadMetrics && (
        <Section title="Lost or refused since the viewer started" testId="losses">
          {numbers.error !== null && <Notice kind="problem">{numbers.error.message}</Notice>}
          {numbers.data !== undefined && <Losses samples={losses(numbers.data)} />}
          <p className="quiet">
            What a gateway loses it tells through its own metrics, <code>otel.sdk.processor.span.processed</code> with an <code>error.type</code>.
          </p>
        </Section>
      )}
      {ready.data?.details?.jobs !== undefined && <Jobs jobs={ready.data.details.jobs} />}
    </Page>
  );
}

function Parts({ ready }: { readonly ready: Readiness }) {
  const known = PARTS.filter(({ name }) => typeof ready[name] === "string");
  const bad = known.filter((part) => !part.good.includes(String(ready[part.name])));
  return (
    <>
      {bad.map((part) => (
        <Notice key={part.name} kind="problem">
          {part.title} is “{String(ready[part.name])}”. {part.without}
        </Notice>
      ))}
      <Facts testId="health-parts" facts={known.map((part: Part) => ({ name: part.title, value: String(ready[part.name]) }))} />
    </>
  );
}

function Losses({ samples }: { readonly samples: readonly Sample[] }) {
  if (samples.length === 0) return <p data-testid="no-losses">Nothing was.</p>;
  return (
    <Table label="Losses" head={["What", "Of which", "How many"]}>
      {samples.map(({ name, labels, value }) => (
        <tr key={`${name} ${labels}`}>
          <td>{name.replace(/^spanflow_viewer_|_total$/g, "").replaceAll("_", " ")}</td>
          <td>{labels === "" ? <span className="quiet">–</span> : labels.replaceAll('"', "")}</td>
          <td>{value.toLocaleString()}</td>
        </tr>
      ))}
    </Table>
  );
}

function Jobs({ jobs }: { readonly jobs: NonNullable<NonNullable<Readiness["details"]>["jobs"]> }) {
  return (
    <Section title="Periodic jobs of this viewer">
      <Table label="Periodic jobs" head={["Job", "Runs", "Failures"]}>
        {Object.entries(jobs).map(([name, { runs, failures }]) => (
          <tr key={name}>
            <td>{name}</td>
            <td>{runs.toLocaleString()}</td>
            <td>{failures.toLocaleString()}</td>
          </tr>
        ))}
      </Table>
    </Section>
  );
}
