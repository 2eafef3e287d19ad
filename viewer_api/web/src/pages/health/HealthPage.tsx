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
        <Section title="Losses since the viewer started" testId="losses">
          {numbers.error !== null && <Notice kind="problem">{numbers.error.message}</Notice>}
          {numbers.data !== undefined && <Losses samples={losses(numbers.data)} />}
          <p className="quiet">
            Gateways report their own losses as a metric: <code>otel.sdk.processor.span.processed</code> with an <code>error.type</code>, and to alert rules about losses: <code>spanflow alerts losses</code> lists them.
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
  if (samples.length === 0) return <p data-testid="no-losses">Nothing was lost or refused.</p>;
  return (
    <Table label="Losses" head={["Loss", "Reason", { text: "Count", number: true }]}>
      {samples.map(({ name, labels, value }) => (
        <tr key={`${name} ${labels}`}>
          <td>{name.replace(/^spanflow_viewer_|_total$/g, "").replaceAll("_", " ")}</td>
          <td>{labels === "" ? <span className="quiet">–</span> : labels.replaceAll('"', "")}</td>
          <td className="number">{value.toLocaleString()}</td>
        </tr>
      ))}
    </Table>
  );
}

function Jobs({ jobs }: { readonly jobs: NonNullable<NonNullable<Readiness["details"]>["jobs"]> }) {
  return (
    <Section title="Background jobs">
      <Table label="Background jobs" head={["Job", { text: "Runs", number: true }, { text: "Failures", number: true }]}>
        {Object.entries(jobs).map(([name, { runs, failures }]) => (
          <tr key={name}>
            <td>{name.charAt(0).toUpperCase() + name.slice(1)}</td>
            <td className="number">{runs.toLocaleString()}</td>
            <td className="number">{failures.toLocaleString()}</td>
          </tr>
        ))}
      </Table>
    </Section>
  );
}
