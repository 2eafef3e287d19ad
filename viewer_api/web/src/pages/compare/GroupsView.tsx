import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { flowDifferences } from "../../api/compare";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { Empty, Loading, Notice } from "../../ui/Notice";
import { Page } from "../../ui/Page";
import { TimeRange } from "../flows/TimeRange";
import { DifferenceTable } from "./DifferenceTable";
import { GroupCard } from "./GroupCard";
import { filtersOf } from "./groups";
import { askedOf, lastWeek, PRESETS, presetQuery } from "./questions";
import styles from "./GroupsView.module.css";

/** What some flows have more often than others: slow ones and the rest, denied ones and those that passed, one user and all. */
export function GroupsView() {
  const { route, change, go } = useNavigation();
  const { query } = route;
  const begun = Object.keys(filtersOf(query, "a")).length + Object.keys(filtersOf(query, "b")).length > 0;
  const key = JSON.stringify(query);
  const asked = useMemo(() => askedOf(query, Date.now()), [key]);
  const { data, error, isFetching } = useQuery({
    queryKey: ["differences", asked],
    queryFn: ({ signal }) => flowDifferences(asked, signal),
    enabled: begun,
    placeholderData: keepPreviousData,
  });
  return (
    <Page
      title="What is different?"
      testId="groups-page"
      head={
        <>
          <TimeRange />
          {begun && (
            <Button look="plain" onPress={() => go({ ...route, query: {} })} testId="clear-groups">
              Start over
            </Button>
          )}
        </>
      }
    >
      {!begun && (
        <Empty title="Compare two groups of flows, or two flows">
          <p>Which tools, models, users, gates and durations do some flows have more often than others? Begin with one of these, or set filters below.</p>
          <div className={styles["presets"]}>
            {[...PRESETS, lastWeek(Date.now())].map(({ id, text, search }) => (
              <Button key={id} onPress={() => change(presetQuery(search))} testId={`preset-${id}`}>
                {text}
              </Button>
            ))}
          </div>
          <p className="quiet">Two flows step by step: tick them in the list of flows.</p>
        </Empty>
      )}
      <div className={styles["groups"]}>
        <GroupCard group="a" title="These flows" sample={data?.a} />
        <GroupCard group="b" title="Against these" sample={data?.b} />
        <GroupCard group="both" title="For both" sample={undefined} />
      </div>
      {error !== null && <Notice kind="problem">{error.message}</Notice>}
      {begun && data === undefined && error === null && <Loading label="Flows are being compared" />}
      {begun && data !== undefined && <DifferenceTable differences={data} query={query} fetching={isFetching} />}
    </Page>
  );
}
