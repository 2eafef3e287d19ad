import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Autocomplete, Header, Input, ListBox, ListBoxItem, ListBoxSection, TextField } from "react-aria-components";
import { flowPreviews, searchFlows } from "../api/flows";
import { nameOf, searchPeople } from "../api/monitoring";
import { relativeTime } from "../format";
import { useDelayed } from "../hooks/useDelayed";
import { to, type Route } from "../navigation/route";
import { useNavigation } from "../navigation/useNavigation";
import { isId } from "../reducer/ids";
import { requestText } from "../tree/requestText";
import { Dialog } from "../ui/Dialog";
import { menuOf, routeTo } from "./pages";
import { useSignedIn } from "./session";
import { presentShortcuts } from "./shortcuts";
import styles from "./CommandPalette.module.css";

interface Offer {
  readonly id: string;
  readonly text: string;
  readonly hint?: string;
  readonly run: () => void;
}

interface Section {
  readonly title: string;
  readonly offers: readonly Offer[];
}

const LETTERS_OF_A_NAME = 2;
const LETTERS_OF_A_FLOW = 3;
const MOST_FLOWS = 5;
const WHOLE_ID = /^[0-9a-f]{32}$/;
const START_OF_ID = /^[0-9a-f]{8,}$/;

/** Goes anywhere by a few letters: pages, people, a flow by its id, what can be done here. */
export default function CommandPalette({ open, onClose }: { readonly open: boolean; readonly onClose: () => void }) {
  return (
    <Dialog title="Go to" open={open} onClose={onClose} testId="palette">
      <Offers onDone={onClose} />
    </Dialog>
  );
}

function Offers({ onDone }: { readonly onDone: () => void }) {
  const [text, setText] = useState("");
  const wanted = text.trim();
  const sections = useSections(wanted, onDone).filter(({ offers }) => offers.length > 0);
  const all = sections.flatMap(({ offers }) => offers);
  return (
    <Autocomplete inputValue={text} onInputChange={setText}>
      <TextField autoFocus aria-label="Page, person, flow or action" className={styles["field"] ?? ""}>
        <Input placeholder="Page, person, flow id or action" className={styles["input"] ?? ""} data-testid="palette-input" />
      </TextField>
      <ListBox
        aria-label="Offers"
        className={styles["list"] ?? ""}
        renderEmptyState={() => <p className="quiet">No match.</p>}
        onAction={(key) => all.find(({ id }) => id === key)?.run()}
      >
        {sections.map(({ title, offers }) => (
          <ListBoxSection key={title} id={title}>
            <Header className={styles["title"] ?? ""}>{title}</Header>
            {offers.map((offer) => (
              <ListBoxItem key={offer.id} id={offer.id} textValue={offer.text} className={styles["offer"] ?? ""}>
                <span className="truncate">{offer.text}</span>
                <span className="quiet">{offer.hint}</span>
              </ListBoxItem>
            ))}
          </ListBoxSection>
        ))}
      </ListBox>
    </Autocomplete>
  );
}

/** The newest flows with these words, or whose id begins so. */
async function flowsFound(wanted: string, signal: AbortSignal): Promise<readonly { readonly flowId: string; readonly text: string; readonly hint: string }[]> {
  const filters = { ...(START_OF_ID.test(wanted) ? { id: [wanted] } : { q: [wanted] }), stepless: ["hide"] };
  const flows = (await searchFlows(filters, undefined, signal)).flows.slice(0, MOST_FLOWS);
  const previews = flows.length === 0 ? [] : await flowPreviews(flows.map(({ flow_id }) => flow_id), signal);
  return flows.map((flow) => ({
    flowId: flow.flow_id,
    text: requestText(flow, previews.find(({ flow_id }) => flow_id === flow.flow_id)),
    hint: [flow.full_name ?? flow.email, flow.started_at === null ? null : relativeTime(flow.started_at, Date.now())].filter((text) => text !== null).join(" · "),
  }));
}

function useSections(wanted: string, onDone: () => void): readonly Section[] {
  const session = useSignedIn();
  const { go } = useNavigation();
  const asked = useDelayed(wanted, 150);
  const people = useQuery({
    queryKey: ["people", asked],
    queryFn: ({ signal }) => searchPeople(asked, signal),
    enabled: asked.length >= LETTERS_OF_A_NAME,
  });
  const lead = (route: Route) => () => {
    onDone();
    go(route);
  };
  const matching = (text: string) => wanted === "" || text.toLowerCase().includes(wanted.toLowerCase());
  const flows = useQuery({
    queryKey: ["flows of the palette", asked],
    queryFn: ({ signal }) => flowsFound(asked, signal),
    enabled: asked.length >= LETTERS_OF_A_FLOW && session.rights.includes("read") && !WHOLE_ID.test(asked),
    staleTime: 10_000,
  });
  const flow: Offer[] = WHOLE_ID.test(wanted)
    ? [{ id: `flow ${wanted}`, text: wanted, hint: "open this flow", run: lead(to("flow", wanted)) }]
    : (wanted.length < LETTERS_OF_A_FLOW ? [] : (flows.data ?? [])).map(({ flowId, text, hint }) => ({
        id: `flow ${flowId}`,
        text,
        hint,
        run: lead(to("flow", flowId)),
      }));
  const pages = menuOf(session).filter(({ title }) => matching(title));
  const actions = presentShortcuts().filter(({ group, text }) => group === "Actions" && matching(text));
  const found = wanted.length < LETTERS_OF_A_NAME || !isId(wanted) ? [] : (people.data ?? []);
  return [
    { title: "Pages", offers: pages.map((page) => ({ id: `page ${page.name}`, text: page.title, run: lead(routeTo(page)) })) },
    {
      title: "People",
      offers: found.map((person) => ({
        id: `person ${person.userId}`,
        text: nameOf(person),
        hint: person.fullName === null || person.email === null ? `user ${person.userId}` : person.email,
        run: lead(to("flows", null, { user_id: person.userId })),
      })),
    },
    { title: "Flows", offers: flow },
    {
      title: "Actions",
      offers: actions.map(({ keys, text, run }) => ({
        id: `action ${keys}`,
        text,
        hint: keys,
        run: () => {
          onDone();
          run();
        },
      })),
    },
  ];
}
