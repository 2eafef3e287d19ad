import { useQuery, useQueryClient } from "@tanstack/react-query";
import { BellPlus } from "lucide-react";
import { useState } from "react";
import { listChannels, listDeliveries, listEvents, listRules, type Rule } from "../../api/alerts";
import { useSignedIn } from "../../app/session";
import { one } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { Empty, Loading, Notice } from "../../ui/Notice";
import { Page } from "../../ui/Page";
import { Tabs } from "../../ui/Tabs";
import { ChannelList } from "./ChannelList";
import { DeliveryTable, EventTable } from "./HistoryTables";
import { RuleCard } from "./RuleCard";
import { RuleDialog } from "./RuleDialog";
import styles from "./AlertsPage.module.css";

const REFRESH_MS = 5_000;
const TABS = [
  { id: "rules", text: "Rules" },
  { id: "events", text: "History" },
  { id: "deliveries", text: "Deliveries" },
  { id: "channels", text: "Channels" },
] as const;

/** Rules in plain words with their states, what they found, and who was told. */
export default function AlertsPage() {
  const { route, change, go } = useNavigation();
  const client = useQueryClient();
  const everybody = useSignedIn().scope === null;
  const [edited, edit] = useState<Rule | "new" | null>(null);
  const rules = useQuery({ queryKey: ["alerts", "rules"], queryFn: ({ signal }) => listRules(signal), refetchInterval: REFRESH_MS });
  const channels = useQuery({ queryKey: ["alerts", "channels"], queryFn: ({ signal }) => listChannels(signal), enabled: everybody });
  const renew = () => void client.invalidateQueries({ queryKey: ["alerts"] });
  const tabs = TABS.filter(({ id }) => everybody || id === "rules" || id === "events");
  const tab = tabs.find(({ id }) => id === one(route.query, "view"))?.id ?? "rules";
  const shown = route.id === null ? rules.data : rules.data?.filter(({ rule_id }) => rule_id === route.id);
  const fires = rules.data?.filter(({ state }) => state === "firing") ?? [];
  const firing = fires.length;
  return (
    <Page
      title="Alerts"
      testId="alerts-page"
      head={
        <>
          <Button look="main" icon={BellPlus} onPress={() => edit("new")} testId="add-rule">
            New rule
          </Button>
          <span role="status" className={firing > 0 ? styles["firing"] : "quiet"} data-level={fires.every(({ level }) => level === "warning") ? "warning" : "alert"} data-testid="alerts-firing">
            {rules.data !== undefined && (firing === 0 ? "No rule is firing" : `${firing} ${firing === 1 ? "rule is" : "rules are"} firing`)}
          </span>
        </>
      }
    >
      <Tabs label="Alerts" tabs={tabs} selected={tab} onSelect={(id) => change({ view: id === "rules" ? null : id }, "replace")}>
        <div className={styles["panel"]}>
          {tab === "rules" && (
            <>
              {rules.error !== null && <Notice kind="problem">{rules.error.message}</Notice>}
              {rules.data === undefined && rules.error === null && <Loading label="The rules are loading" />}
              {rules.data?.length === 0 && (
                <Empty title="No rule yet">
                  <p>A rule says which flows it is about, what must not happen to them, and who is told: also while a flow still hangs. Or in a terminal:</p>
                  <pre tabIndex={0}>{'spanflow alerts add "A tool hangs" --still-running 120 --checkpoint tool_call'}</pre>
                  <Button onPress={() => edit("new")}>Make the first rule</Button>
                </Empty>
              )}
              {route.id !== null && (
                <Notice action={<Button onPress={() => go({ ...route, id: null })}>Show all rules</Button>}>{rules.data?.some(({ rule_id }) => rule_id === route.id) === false ? "There is no such rule any more." : "One rule is shown."}</Notice>
              )}
              {shown?.map((rule) => (
                <RuleCard key={rule.rule_id} rule={rule} channels={channels.data?.channels ?? []} onEdit={() => edit(rule)} onChanged={renew} />
              ))}
            </>
          )}
          {tab === "events" && <Events />}
          {tab === "deliveries" && <Deliveries rules={rules.data ?? []} />}
          {tab === "channels" && channels.data !== undefined && <ChannelList channels={channels.data} onChanged={renew} />}
          {channels.error !== null && <Notice kind="problem">{channels.error.message}</Notice>}
        </div>
      </Tabs>
      {edited !== null && (
        <RuleDialog
          rule={edited === "new" ? null : edited}
          channels={channels.data?.channels ?? []}
          onClose={() => edit(null)}
          onSaved={() => {
            edit(null);
            renew();
          }}
        />
      )}
    </Page>
  );
}

function Events() {
  const { data, error } = useQuery({ queryKey: ["alerts", "events"], queryFn: ({ signal }) => listEvents(signal), refetchInterval: REFRESH_MS });
  if (error !== null) return <Notice kind="problem">{error.message}</Notice>;
  return data === undefined ? <Loading label="The events are loading" /> : <EventTable events={data} />;
}

function Deliveries({ rules }: { readonly rules: readonly Rule[] }) {
  const { data, error } = useQuery({ queryKey: ["alerts", "deliveries"], queryFn: ({ signal }) => listDeliveries(signal), refetchInterval: REFRESH_MS });
  if (error !== null) return <Notice kind="problem">{error.message}</Notice>;
  return data === undefined ? <Loading label="The deliveries are loading" /> : <DeliveryTable deliveries={data} rules={rules} />;
}
