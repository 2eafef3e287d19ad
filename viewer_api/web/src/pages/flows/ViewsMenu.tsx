import { Bookmark, Link as LinkIcon, Trash2 } from "lucide-react";
import { useState, type FormEvent } from "react";
import { Button as AriaButton } from "react-aria-components";
import { mayShare } from "../../api/session";
import { useSignedIn } from "../../app/session";
import { useNavigation } from "../../navigation/useNavigation";
import { Button, IconButton } from "../../ui/Button";
import { Checkbox, TextField } from "../../ui/Field";
import { Notice } from "../../ui/Notice";
import { Dropdown } from "../../ui/Overlay";
import { tell } from "../../ui/tell";
import { queryOf, searchOf, useSavedViews } from "./views";
import styles from "./ViewsMenu.module.css";

/** Searches under names. The button has the name of the one that is shown. */
export function ViewsMenu() {
  const { route, go } = useNavigation();
  const session = useSignedIn();
  const { views, problem, save, remove } = useSavedViews();
  const [name, setName] = useState("");
  const [shared, setShared] = useState(false);
  const search = searchOf(route.query);
  const current = views.find((view) => searchOf(queryOf(view.filter)) === search);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const wanted = name.trim();
    if (wanted === "") return;
    save(wanted, route.query, shared, () => {
      setName("");
      setShared(false);
      tell(`The view “${wanted}” is saved${shared ? " for everyone" : ""}.`);
    });
  };
  const copy = () => {
    navigator.clipboard.writeText(location.href).then(
      () => tell("The link to this view is copied."),
      () => tell("The browser does not let the page copy. The address bar has the link."),
    );
  };
  return (
    <Dropdown
      label="Saved views"
      testId="views"
      trigger={
        <Button icon={Bookmark} testId="open-views">
          <span className={`${styles["name"]} truncate`}>{current?.name ?? "Views"}</span>
        </Button>
      }
    >
      {problem !== null && <Notice kind="problem">{problem}</Notice>}
      {views.length === 0 && <p className="quiet">Filters that are needed often can be kept under a name.</p>}
      <ul className={styles["list"]}>
        {views.map((view) => (
          <li key={view.filter_id} className={styles["view"]} data-testid="view">
            <AriaButton className={`${styles["open"]} truncate`} aria-current={view === current} onPress={() => go({ ...route, query: queryOf(view.filter) })}>
              {view.name}
              {view.shared && <span className="quiet"> {view.mine ? "for everyone" : `by ${view.created_by}`}</span>}
            </AriaButton>
            {(view.mine || session.role === "admin") && <IconButton icon={Trash2} label={`Delete the view ${view.name}`} onPress={() => remove(view)} />}
          </li>
        ))}
      </ul>
      <form onSubmit={submit} className={styles["form"]}>
        <TextField label="Save these filters as" value={name} onChange={setName} maxLength={60} testId="view-name" />
        <Button type="submit">Save</Button>
        {mayShare(session) && (
          <Checkbox checked={shared} onChange={setShared} testId="view-shared">
            For everyone
          </Checkbox>
        )}
      </form>
      <Button look="plain" icon={LinkIcon} onPress={copy}>
        Copy the link to this view
      </Button>
    </Dropdown>
  );
}
