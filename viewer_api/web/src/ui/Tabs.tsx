import type { ReactNode } from "react";
import { Tab, TabList, TabPanel, Tabs as AriaTabs } from "react-aria-components";
import styles from "./Tabs.module.css";

export interface TabEntry {
  readonly id: string;
  readonly text: string;
}

interface Props {
  readonly label: string;
  readonly tabs: readonly TabEntry[];
  readonly selected: string;
  readonly onSelect: (id: string) => void;
  /** What stands between the tabs and the panel. */
  readonly beside?: ReactNode;
  readonly children: ReactNode;
}

/** Views of the same thing, one at a time. */
export function Tabs({ label, tabs, selected, onSelect, beside, children }: Props) {
  return (
    <AriaTabs className={styles["tabs"] ?? ""} selectedKey={selected} onSelectionChange={(key) => onSelect(String(key))}>
      <TabList aria-label={label} className={styles["list"] ?? ""}>
        {tabs.map(({ id, text }) => (
          <Tab key={id} id={id} className={styles["tab"] ?? ""}>
            {text}
          </Tab>
        ))}
      </TabList>
      {beside}
      <TabPanel key={selected} id={selected} className={styles["panel"] ?? ""}>
        {children}
      </TabPanel>
    </AriaTabs>
  );
}
