import { onlyThemselves } from "../../api/session";
import { useSignedIn } from "../../app/session";
import { PersonSearch } from "../../components/PersonSearch";
import { several } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { clockTimeOf, dateTime } from "../../format";
import { Button } from "../../ui/Button";
import { Empty, Loading, Notice } from "../../ui/Notice";
import { Page, Section } from "../../ui/Page";
import { FilterChips } from "../flows/FilterChips";
import { MoreFilters } from "../flows/MoreFilters";
import { TimeRange } from "../flows/TimeRange";
import { FlowCharts } from "./FlowCharts";
import { FunnelView } from "./FunnelView";
import { STATISTICS_RANGES, USUAL } from "./range";
import { StepsSection } from "./StepsSection";
import { Totals } from "./Totals";
import { UsageSection } from "./UsageSection";
import { useFlowSums, useFunnel } from "./useStatistics";

/** How many flows, how long, what goes wrong and what it costs; every number of flows leads to these flows. */
export default function StatisticsPage() {
  const { route, change } = useNavigation();
  const own = onlyThemselves(useSignedIn());
  const sums = useFlowSums();
  const gates = useFunnel();
  const total = sums.data?.groups[0];
  return (
    <Page
      title="Statistics"
      testId="statistics-page"
      head={
        <>
          <TimeRange usual={USUAL} ranges={STATISTICS_RANGES} title="Flows that began between" />
          {own === null && (
            <PersonSearch label="Person" hideLabel onChoose={(person) => change({ user_id: [...several(route.query, "user_id"), person.userId] })} />
          )}
          <MoreFilters />
          <span className="quiet" role="status" data-testid="counted-until">
            {sums.data !== undefined && countedUntil(sums.data.waiting, sums.data.until)}
          </span>
        </>
      }
    >
      <FilterChips own={own} without={[]} />
      {sums.error !== null && <Notice kind="problem">{sums.error.message}</Notice>}
      {sums.data?.shortened === true && <Notice>With these filters there is too much to count while you wait: only flows since {dateTime(sums.data.since)} are counted.</Notice>}
      {sums.data === undefined ? (
        sums.error === null && <Loading label="Statistics are loading" />
      ) : total === undefined || total.flows.count === 0 ? (
        <Empty title="No flow has ended in this time">
          <p>Statistics are of flows that have ended; what ended just now is counted within a minute.</p>
          <Button onPress={() => change({ range: "30d", since: null, until: null })}>Show the last 30 days</Button>
        </Empty>
      ) : (
        <>
          <Totals sums={total} />
          <FlowCharts statistics={sums.data} />
          <Section title="How far flows get">
            {gates.error !== null && <Notice kind="problem">{gates.error.message}</Notice>}
            {gates.data === undefined ? gates.error === null && <Loading label="The funnel is loading" /> : <FunnelView funnel={gates.data} />}
          </Section>
          <StepsSection />
          <UsageSection withUsers={own === null} />
        </>
      )}
    </Page>
  );
}

const NEWEST = 3;

function countedUntil(waiting: number, until: string): string {
  // The newest minutes are counted when they are over.
  return waiting > NEWEST ? `${waiting} minutes are still to be counted` : `counted up to ${clockTimeOf(until)}`;
}
