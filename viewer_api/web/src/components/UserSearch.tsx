import { useEffect, useId, useState, type KeyboardEvent } from "react";
import { nameOf, searchPeople, type Person } from "../api/monitoring";
import { isId } from "../reducer/ids";

interface Props {
  readonly label: string;
  readonly onChoose: (person: Person) => void;
}

const PAUSE_MS = 150;

/** Somebody whom no gateway has seen yet can be chosen by their id. */
function withTheId(found: readonly Person[], text: string): readonly Person[] {
  if (!isId(text) || found.some((person) => person.userId === text)) return found;
  return [...found, { userId: text, email: null, fullName: null }];
}

/** Finds people by any part of their e-mail address, name or id. A combobox with a list (ARIA Authoring Practices). */
export function UserSearch({ label, onChoose }: Props) {
  const id = useId();
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<readonly Person[] | null>(null);
  const [active, setActive] = useState(-1);
  const [problem, setProblem] = useState<string | null>(null);
  const wanted = query.trim();
  useEffect(() => {
    setActive(-1);
    if (wanted === "") {
      setFound(null);
      return undefined;
    }
    const abort = new AbortController();
    const timer = setTimeout(() => {
      searchPeople(wanted, abort.signal).then(
        (people) => {
          setProblem(null);
          setFound(people);
        },
        (error: unknown) => {
          if (!abort.signal.aborted) setProblem(error instanceof Error ? error.message : String(error));
        },
      );
    }, PAUSE_MS);
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [wanted]);
  const choose = (person: Person) => {
    setQuery("");
    setFound(null);
    onChoose(person);
  };
  const people = found === null ? [] : withTheId(found, wanted);
  const onKey = (event: KeyboardEvent) => {
    const last = people.length - 1;
    if (event.key === "ArrowDown") setActive(active >= last ? 0 : active + 1);
    else if (event.key === "ArrowUp") setActive(active <= 0 ? last : active - 1);
    else if (event.key === "Escape") setFound(null);
    else if (event.key === "Enter") {
      const person = people[active] ?? people[0];
      if (person !== undefined) choose(person);
    } else return;
    event.preventDefault();
  };
  return (
    <div className="search">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        role="combobox"
        type="search"
        autoComplete="off"
        placeholder="e-mail, name or id"
        data-testid="user-search"
        aria-expanded={found !== null}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-activedescendant={active < 0 ? undefined : `${id}-${active}`}
        value={query}
        onChange={(event) => setQuery(event.target.value)}
        onKeyDown={onKey}
      />
      {problem !== null && (
        <p role="alert" className="alert">
          {problem}
        </p>
      )}
      <ul id={`${id}-list`} role="listbox" aria-label="People found" hidden={found === null} data-testid="people-found">
        {people.map((person, index) => (
          <li
            key={person.userId}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === active}
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => choose(person)}
          >
            {found?.includes(person) === true ? nameOf(person) : "Somebody not known yet:"}{" "}
            <span className="quiet">
              {person.fullName === null ? "" : `${person.fullName} · `}id {person.userId}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}
