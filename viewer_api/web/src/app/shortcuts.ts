import { useEffect, useRef } from "react";

/** A key, or two after each other such as `g f`, and what it does. The sheet under `?` shows this table. */
export interface Shortcut {
  readonly keys: string;
  readonly text: string;
  readonly group: string;
  readonly run: () => void;
}

const SECOND_KEY_WITHIN_MS = 1200;
const known = new Set<readonly Shortcut[]>();

/** Every shortcut that works right now, in the order in which components brought them. */
export function presentShortcuts(): readonly Shortcut[] {
  return [...known].flat();
}

/** Shortcuts that work as long as the component is shown. They are disabled while typing and in dialogs. */
export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  const latest = useRef(shortcuts);
  latest.current = shortcuts;
  useEffect(() => {
    const entry: Shortcut[] = latest.current.map((shortcut, index) => ({ ...shortcut, run: () => latest.current[index]?.run() }));
    known.add(entry);
    return () => void known.delete(entry);
    // Their texts and keys do not change while a component is shown; what they do is looked up when they are used.
  }, []);
}

/** Listens for the whole page; used once. */
export function useShortcutKeys(): void {
  useEffect(() => {
    let first: { key: string; at: number } | null = null;
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || isTyping(event.target, event.key)) return;
      const key = keyOf(event);
      if (key === null) return;
      const pair = first !== null && event.timeStamp - first.at < SECOND_KEY_WITHIN_MS ? `${first.key} ${key}` : null;
      const all = presentShortcuts();
      const found = (pair === null ? undefined : all.findLast(({ keys }) => keys === pair)) ?? all.findLast(({ keys }) => keys === key);
      first = found === undefined ? { key, at: event.timeStamp } : null;
      if (found === undefined) return;
      event.preventDefault();
      found.run();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

function keyOf(event: KeyboardEvent): string | null {
  if (event.altKey) return null;
  if (event.metaKey || event.ctrlKey) return event.key.length === 1 ? `mod+${event.key.toLowerCase()}` : null;
  return event.key;
}

/** Controls that take no letters, and the keys that they do take. */
const NO_LETTERS: ReadonlySet<string> = new Set(["range", "checkbox", "radio"]);
const THEIR_KEYS = /^(Arrow.*|Home|End|Page.*|Enter| )$/;

function isTyping(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement && NO_LETTERS.has(target.type)) return THEIR_KEYS.test(key);
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.closest("[role=dialog]") !== null;
}
