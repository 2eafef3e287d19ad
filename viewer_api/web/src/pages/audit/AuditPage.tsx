import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { readAudit, type AuditEntry } from "../../api/audit";
import { Ago } from "../../components/Ago";
import { useDelayed } from "../../hooks/useDelayed";
import { Link } from "../../navigation/Link";
import { one, to, type Query } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { Chip } from "../../ui/Chip";
import { Select, TextField } from "../../ui/Field";
import { Empty, Loading, Notice } from "../../ui/Notice";
import { Page, Table } from "../../ui/Page";
import styles from "./AuditPage.module.css";

/** What is typed: the filters by their names in the API. */
const TYPED = { actor: "Who", user_id: "Whose data (user id)", action: "Action", text: "Reason, search or address" } as const;
const OUTCOMES = [
  { id: "any", text: "Any outcome" },
  { id: "ok", text: "ok" },
  { id: "denied", text: "denied" },
  { id: "refused", text: "refused" },
];

/** Who watched, read or searched what; this look is in it as well, the next time. */
export default function AuditPage() {
  const { route, change, go } = useNavigation();
  const [texts, setTexts] = useState(() => Object.fromEntries(Object.keys(TYPED).map((name) => [name, one(route.query, name) ?? ""])));
  const wanted = useDelayed(JSON.stringify(texts), 300);
  useEffect(() => change(JSON.parse(wanted) as Record<string, string>, "replace"), [wanted]);
  const filters: Query = Object.fromEntries(Object.entries(route.query).filter(([name]) => name in TYPED || name === "outcome"));
  const found = useInfiniteQuery({
    queryKey: ["audit", filters],
    queryFn: ({ pageParam, signal }) => readAudit(filters, pageParam, signal),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
    placeholderData: keepPreviousData,
  });
  const entries = found.data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <Page title="Audit log" testId="audit-page" head={<span className="quiet">Who looked at whom, and why</span>}>
      <div className={styles["filters"]}>
        {Object.entries(TYPED).map(([name, label]) => (
          <TextField key={name} label={label} value={texts[name] ?? ""} onChange={(value) => setTexts({ ...texts, [name]: value })} maxLength={128} testId={`audit-${name}`} />
        ))}
        <Select label="Outcome" choices={OUTCOMES} value={one(route.query, "outcome") ?? "any"} onChange={(id) => change({ outcome: id === "any" ? null : id })} />
      </div>
      {found.error !== null && <Notice kind="problem">{found.error.message}</Notice>}
      {found.isPending ? (
        <Loading label="The audit log is loading" />
      ) : entries.length === 0 ? (
        <Empty title="No entry matches these filters">
          <Button
            onPress={() => {
              setTexts({});
              go({ ...route, query: {} });
            }}
          >
            Show everything
          </Button>
        </Empty>
      ) : (
        <Table label="Audit log" head={["When", "Who", "What", "Whose", "Why", "Details", { text: "From", wideOnly: true }]} testId="audit-list">
          {entries.map((entry) => (
            <Row key={entry.id} entry={entry} />
          ))}
        </Table>
      )}
      {found.hasNextPage && (
        <Button onPress={() => void found.fetchNextPage()} isDisabled={found.isFetchingNextPage}>
          Older entries
        </Button>
      )}
    </Page>
  );
}

function Row({ entry }: { readonly entry: AuditEntry }) {
  return (
    <tr data-testid="audit-row">
      <td className={styles["tight"]}>
        <Ago iso={entry.at} />
      </td>
      <td className={styles["who"]}>
        {entry.actor} {entry.role !== null && <span className="quiet wide-only">{entry.role}</span>}
      </td>
      <td>
        {entry.action} {entry.outcome !== "ok" && <Chip>{entry.outcome}</Chip>}
      </td>
      <td>{entry.user_id === null ? <span className="quiet">–</span> : <Link to={to("users", String(entry.user_id))}>{entry.user_id}</Link>}</td>
      <td className={styles["text"]}>{entry.reason ?? <span className="quiet">–</span>}</td>
      <td className={styles["text"]}>
        <Target entry={entry} />
        <Details detail={entry.detail} />
      </td>
      <td className={`${styles["tight"]} wide-only`}>{entry.remote ?? "–"}</td>
    </tr>
  );
}

function Target({ entry: { target } }: { readonly entry: AuditEntry }) {
  if (target === null) return null;
  return /^[0-9a-f]{32}$/.test(target) ? <Link to={to("flow", target)}>{target.slice(0, 8)}…</Link> : <span>{target}</span>;
}

function Details({ detail }: { readonly detail: AuditEntry["detail"] }) {
  const parts = Object.entries(detail).filter(([name]) => name !== "via");
  return (
    <>
      {parts.map(([name, value]) => (
        <div key={name} className="quiet">
          {name}: {words(value)}
        </div>
      ))}
    </>
  );
}

/** A value as people read it: `since 2026-03-01, q plan b`. */
function words(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return value.map(words).join(", ");
  return Object.entries(value)
    .map(([name, each]) => `${name} ${words(each)}`)
    .join(", ");
}
