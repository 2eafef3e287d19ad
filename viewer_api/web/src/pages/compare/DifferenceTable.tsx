import type { ReactNode } from "react";
import type { Difference, Differences, Share } from "../../api/compare";
import { percent } from "../../format";
import { useName } from "../../hooks/useName";
import { Link } from "../../navigation/Link";
import type { Query } from "../../navigation/route";
import { Section, Table } from "../../ui/Page";
import { GROUP_FILTERS } from "./groups";
import { listOf } from "./questions";
import styles from "./GroupsView.module.css";

interface Props {
  readonly differences: Differences;
  readonly query: Query;
  readonly fetching: boolean;
}

const NAMES: Readonly<Record<string, string>> = { ...GROUP_FILTERS, duration_ms: "Took (ms)", tokens: "Tokens", name: "Name" };
const nameOf = (attribute: string): string => NAMES[attribute] ?? attribute;

/** What the groups differ in, the greatest difference first; each leads to the flows that have it. */
export function DifferenceTable({ differences: { differences, hidden, a, b }, query, fetching }: Props) {
  if (a.sampled === 0 || b.sampled === 0) {
    return <p data-testid="no-differences">There is nothing to compare: {a.sampled === 0 ? "the first" : "the second"} group has no flow.</p>;
  }
  return (
    <Section title="What is different about them" testId="differences">
      {differences.length === 0 ? (
        <p>No value is more frequent in one group than chance explains.</p>
      ) : (
        <div data-fetching={fetching}>
          <Table label="Differences" head={["What", "Value", "In A", "In B", { text: "Difference", number: true }]}>
            {differences.map((difference) => (
              <Row key={`${difference.attribute} ${difference.value}`} difference={difference} query={query} />
            ))}
          </Table>
        </div>
      )}
      {hidden.length > 0 && (
        <p className="quiet" data-testid="hidden-attributes">
          Not compared: {hidden.map(({ attribute, reason }) => `${nameOf(attribute).toLowerCase()} (${reason === "asked_for" ? "the filters ask for it" : "nearly every flow has another"})`).join(", ")}.
        </p>
      )}
    </Section>
  );
}

function Row({ difference, query }: { readonly difference: Difference; readonly query: Query }) {
  const { attribute, value, difference: by, filter, ...share } = difference;
  const words = `${nameOf(attribute)} ${value ?? "none"}`;
  return (
    <tr data-testid="difference" data-more={by > 0 ? "a" : "b"}>
      <td>{nameOf(attribute)}</td>
      <td className={styles["value"]}>{attribute === "user_id" && value !== null ? <UserName userId={String(value)} /> : (value ?? <span className="quiet">none</span>)}</td>
      {(["a", "b"] as const).map((group) => (
        <td key={group}>
          <ShareBar share={share[group]} group={group}>
            {share[group].flows === 0 ? (
              <span className="quiet">0 %</span>
            ) : (
              <Link to={listOf(query, group, filter)} label={`${share[group].flows} flows of ${group.toUpperCase()} with ${words}`} testId={`share-${group}`}>
                {shareText(share[group])}
              </Link>
            )}
          </ShareBar>
        </td>
      ))}
      <td className="number">
        <span aria-hidden="true">{by > 0 ? "◀ " : ""}</span>
        {by > 0 ? "+" : "−"}
        {(Math.abs(by) * 100).toFixed(1)} <abbr title="percentage points">pp</abbr>
        <span className="visually-hidden"> more often in {by > 0 ? "A" : "B"}</span>
        <span aria-hidden="true">{by > 0 ? "" : " ▶"}</span>
      </td>
    </tr>
  );
}

const shareText = ({ share, flows }: Share) => `${percent(share)} (${flows.toLocaleString()})`;

function ShareBar({ share, group, children }: { readonly share: Share; readonly group: "a" | "b"; readonly children: ReactNode }) {
  return (
    <span className={styles["share"]}>
      {children}
      <span className={styles["track"]} aria-hidden="true">
        <span className={styles["bar"]} data-group={group} style={{ width: `${share.share * 100}%` }} />
      </span>
    </span>
  );
}

function UserName({ userId }: { readonly userId: string }) {
  return useName(userId, undefined);
}
