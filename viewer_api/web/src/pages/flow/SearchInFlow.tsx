import { ChevronDown, ChevronUp } from "lucide-react";
import { useRef } from "react";
import { useShortcuts } from "../../app/shortcuts";
import { IconButton } from "../../ui/Button";
import { TextField } from "../../ui/Field";
import styles from "./SearchInFlow.module.css";

interface Props {
  readonly text: string;
  /** The spans that match, in reading order. */
  readonly found: readonly string[];
  /** Which of them the focus is on; -1 when on none. */
  readonly at: number;
  readonly onText: (text: string) => void;
  readonly onGo: (nodeId: string) => void;
}

/** Finds spans of this flow: `n` goes to the next one. */
export function SearchInFlow({ text, found, at, onText, onGo }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const go = (by: number) => {
    const next = found[(at + by + found.length) % found.length] ?? found[0];
    if (next !== undefined) onGo(next);
  };
  useShortcuts([
    { keys: "/", text: "Search in this flow", group: "Flow", run: () => box.current?.querySelector("input")?.focus() },
    { keys: "n", text: "Next match", group: "Flow", run: () => go(1) },
    { keys: "N", text: "Previous match", group: "Flow", run: () => go(at < 0 ? 0 : -1) },
  ]);
  return (
    <div ref={box} className={styles["search"]}>
      <TextField
        label="Search in this flow"
        hideLabel
        placeholder="Search in this flow"
        type="search"
        value={text}
        onChange={onText}
        onKeyDown={(event) => event.key === "Enter" && go(event.shiftKey ? -1 : 1)}
        testId="find-in-flow"
      />
      {text !== "" && (
        <>
          <span className="quiet" role="status" data-testid="found-count">
            {found.length === 0 ? "no match" : `${at < 0 ? "–" : at + 1}/${found.length}`}
          </span>
          <IconButton icon={ChevronUp} label="Previous match" keys="N" isDisabled={found.length === 0} onPress={() => go(at < 0 ? 0 : -1)} />
          <IconButton icon={ChevronDown} label="Next match" keys="n" isDisabled={found.length === 0} onPress={() => go(1)} />
        </>
      )}
    </div>
  );
}
