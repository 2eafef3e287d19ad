import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ComboBox, Input, Label, ListBox, ListBoxItem, Popover } from "react-aria-components";
import { nameOf, searchPeople, type Person } from "../api/monitoring";
import { useDelayed } from "../hooks/useDelayed";
import { isId } from "../reducer/ids";
import { Notice } from "../ui/Notice";
import fields from "../ui/Field.module.css";
import { PERSON_PLACEHOLDER, type PersonSearchProps } from "./PersonSearch";
import styles from "./PersonSearch.module.css";

const PAUSE_MS = 150;

/** A user whom no gateway has seen yet can be chosen by id. */
function withTheId(people: readonly Person[], text: string): readonly Person[] {
  if (!isId(text) || people.some((person) => person.userId === text)) return people;
  return [...people, { userId: text, email: null, fullName: null }];
}

export default function PersonCombo({ label, hideLabel = false, placeholder = PERSON_PLACEHOLDER, onChoose }: PersonSearchProps) {
  const [text, setText] = useState("");
  const wanted = useDelayed(text.trim(), PAUSE_MS);
  const { data, error } = useQuery({
    queryKey: ["people", wanted],
    queryFn: ({ signal }) => searchPeople(wanted, signal),
    enabled: wanted !== "",
    placeholderData: (before) => before,
  });
  const people = wanted === "" || text.trim() === "" ? [] : withTheId(data ?? [], wanted);
  return (
    <div className={fields["field"]}>
      <ComboBox
        className={fields["field"] ?? ""}
        items={people}
        inputValue={text}
        onInputChange={setText}
        value={null}
        onChange={(key) => {
          const person = people.find(({ userId }) => userId === key);
          if (person === undefined) return;
          setText("");
          onChoose(person);
        }}
        // It opens with the typing; people come when the viewer has found them. Without a text there is nothing to find.
        allowsEmptyCollection={text.trim() !== ""}
        menuTrigger="input"
      >
        <Label className={hideLabel ? "visually-hidden" : (fields["label"] ?? "")}>{label}</Label>
        <Input className={fields["input"] ?? ""} placeholder={placeholder} data-testid="user-search" />
        <Popover className={fields["popover"] ?? ""} offset={4}>
          <ListBox
            className={fields["list"] ?? ""}
            data-testid="people-found"
            renderEmptyState={() => <p className={`${styles["none"]} quiet`}>{data === undefined ? "Searching…" : "No user matches."}</p>}
          >
            {(person: Person) => (
              <ListBoxItem id={person.userId} textValue={nameOf(person)} className={`${fields["item"]} ${styles["person"]}`}>
                <span className="truncate">{data?.includes(person) === true ? nameOf(person) : `User ${person.userId}`}</span>
                <span className="quiet truncate">
                  {person.fullName === null || person.email === null ? "" : `${person.email} · `}
                  {data?.includes(person) === true ? `id ${person.userId}` : "not seen yet"}
                </span>
              </ListBoxItem>
            )}
          </ListBox>
        </Popover>
      </ComboBox>
      {error !== null && <Notice kind="problem">{error.message}</Notice>}
    </div>
  );
}
