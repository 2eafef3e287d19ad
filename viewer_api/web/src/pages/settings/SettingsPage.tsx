import { useQuery } from "@tanstack/react-query";
import { Radio, RadioGroup } from "react-aria-components";
import { monitoringPolicy } from "../../api/monitoring";
import { mayShare, mayWatch } from "../../api/session";
import { setPreferences, usePreferences, type Density, type Times } from "../../app/preferences";
import { useSignedIn } from "../../app/session";
import { useTheme, type Theme } from "../../app/theme";
import { Ago } from "../../components/Ago";
import { ShareList } from "../../components/ShareList";
import { Notice } from "../../ui/Notice";
import { Facts, Page, Section } from "../../ui/Page";
import styles from "./SettingsPage.module.css";

const THEMES: readonly Option<Theme>[] = [
  { id: "system", text: "Follow the system" },
  { id: "light", text: "Light" },
  { id: "dark", text: "Dark" },
];
const TIMES: readonly Option<Times>[] = [
  { id: "relative", text: "Relative" },
  { id: "local", text: "Local time" },
  { id: "utc", text: "UTC" },
];
const DENSITIES: readonly Option<Density>[] = [
  { id: "comfortable", text: "Two lines per row" },
  { id: "compact", text: "One line per row" },
];
const CONTENTS = { off: "shown, unless a watch leaves them out", default: "left out, unless a watch asks for them", always: "always left out" } as const;

interface Option<T extends string> {
  readonly id: T;
  readonly text: string;
}

/** What this person has chosen in this browser, and what the viewer lets people do. */
export default function SettingsPage() {
  const session = useSignedIn();
  const [theme, setTheme] = useTheme();
  const { times, density } = usePreferences();
  return (
    <Page title="Settings" testId="settings-page">
      <Section title="In this browser">
        <div className={styles["choices"]}>
          <Choice label="Theme" options={THEMES} value={theme} onChange={setTheme} />
          <Choice label="Times" options={TIMES} value={times} onChange={(chosen) => setPreferences({ times: chosen })} />
          <Choice label="Lists" options={DENSITIES} value={density} onChange={(chosen) => setPreferences({ density: chosen })} />
        </div>
        <p className="quiet" data-testid="settings-example">
          A time looks like this: <Ago iso={EXAMPLE} />
        </p>
      </Section>
      <Section title="You">
        <Facts
          facts={[
            { name: "Signed in as", value: session.name },
            { name: "Rights", value: session.rights.join(", ") || "nothing" },
            { name: "Visible users", value: session.scope === null ? "all users" : session.scope.length === 0 ? "no user" : session.scope.join(", ") },
          ]}
        />
      </Section>
      {mayWatch(session) && <WatchPolicy />}
      {mayShare(session) && (
        <Section title="Links to flows" testId="share-links">
          <ShareList flowId={null} />
        </Section>
      )}
    </Page>
  );
}

const EXAMPLE = new Date().toISOString();

interface ChoiceProps<T extends string> {
  readonly label: string;
  readonly options: readonly Option<T>[];
  readonly value: T;
  readonly onChange: (chosen: T) => void;
}

function Choice<T extends string>({ label, options, value, onChange }: ChoiceProps<T>) {
  return (
    <RadioGroup aria-label={label} value={value} onChange={(chosen) => onChange(chosen as T)} className={styles["group"] ?? ""}>
      <span className={styles["label"]}>{label}</span>
      {options.map(({ id, text }) => (
        <Radio key={id} value={id} className={styles["radio"] ?? ""} data-testid={`${label.toLowerCase()}-${id}`}>
          <span className={styles["dot"]} aria-hidden="true" />
          {text}
        </Radio>
      ))}
    </RadioGroup>
  );
}

function WatchPolicy() {
  const { data: policy, error } = useQuery({
    queryKey: ["monitoring policy"],
    queryFn: ({ signal }) => monitoringPolicy(signal),
    staleTime: 60_000,
  });
  return (
    <Section title="Rules for watching" testId="policy">
      {error !== null && <Notice kind="problem">{error.message}</Notice>}
      {policy !== undefined && (
        <Facts
          facts={[
            { name: "Reason", value: policy.reasonRequired ? "required" : "optional", note: policy.reasonLength > 1 ? `at least ${policy.reasonLength} characters` : undefined },
            { name: "Longest watch", value: policy.maxHours >= 48 && policy.maxHours % 24 === 0 ? `${policy.maxHours / 24} days` : `${policy.maxHours} h` },
            { name: "Contents", value: CONTENTS[policy.metadataOnly] },
          ]}
        />
      )}
    </Section>
  );
}
