import { lazy, Suspense } from "react";
import type { Person } from "../api/monitoring";
import fields from "../ui/Field.module.css";

export interface PersonSearchProps {
  readonly label: string;
  readonly hideLabel?: boolean;
  readonly placeholder?: string;
  readonly onChoose: (person: Person) => void;
}

export const PERSON_PLACEHOLDER = "e-mail, name or id";

const PersonCombo = lazy(() => import("./PersonCombo"));

/** Finds people by any part of their e-mail address, name or id. What it needs is loaded after the page around it. */
export function PersonSearch(props: PersonSearchProps) {
  return (
    <Suspense
      fallback={
        <div className={fields["field"]} aria-hidden="true">
          {props.hideLabel !== true && <span className={fields["label"]}>{props.label}</span>}
          <input className={fields["input"]} disabled placeholder={props.placeholder ?? PERSON_PLACEHOLDER} />
        </div>
      }
    >
      <PersonCombo {...props} />
    </Suspense>
  );
}
