import { Bookmark, Link as LinkIcon, Trash2 } from "lucide-react";
import { useState, type FormEvent } from "react";
import { Button as AriaButton } from "react-aria-components";
import { useNavigation } from "../../navigation/useNavigation";
import { Button, IconButton } from "../../ui/Button";
import { TextField } from "../../ui/Field";
import { Dropdown } from "../../ui/Overlay";
import { tell } from "../../ui/tell";
import { queryOf, searchOf, useSavedViews } from "./views";
import styles from "./ViewsMenu.module.css";

/** Searches under names. The button has the name of the one that is shown. */
export function ViewsMenu() {
  const { route, go } = useNavigation();
  const { views, save, remove } = useSavedViews();
  const [name, setName] = useState("");
  const search = searchOf(route.query);
  const current = views.find((view) => view.search === search);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const wanted = name.trim();
    if (wanted === "") return;
    save(wanted, route.query);
    setName("");
    tell(`The view “${wanted}” is saved in this browser.`);
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
      {views.length === 0 && <p className="quiet">Filters that are needed often can be kept under a name.</p>}
      <ul className={styles["list"]}>
        {views.map((view) => (
          <li key={view.name} className={styles["view"]}>
            <AriaButton className={`${styles["open"]} truncate`} aria-current={view === current} onPress={() => go({ ...route, query: queryOf(view) })}>
              {view.name}
            </AriaButton>
            <IconButton icon={Trash2} label={`Forget the view ${view.name}`} onPress={() => remove(view.name)} />
          </li>
        ))}
      </ul>
      <form onSubmit={submit} className={styles["form"]}>
        <TextField label="Save these filters as" value={name} onChange={setName} maxLength={60} testId="view-name" />
        <Button type="submit">Save</Button>
      </form>
      <Button look="plain" icon={LinkIcon} onPress={copy}>
        Copy the link to this view
      </Button>
    </Dropdown>
  );
}
