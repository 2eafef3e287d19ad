import { stored } from "../storage";

/** What this browser remembers, as JSON. */
export function readStored(key: string): unknown {
  return stored(() => {
    const text = localStorage.getItem(key);
    return text === null ? undefined : (JSON.parse(text) as unknown);
  });
}

export function forget(key: string): void {
  stored(() => localStorage.removeItem(key));
}

export function store(key: string, value: unknown): void {
  stored(() => localStorage.setItem(key, JSON.stringify(value)));
}
