const NAMES: Readonly<Record<string, string>> = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", " ": "Space" };
const APPLE = /Mac|iPhone|iPad/.test(navigator.userAgent);

/** How the keys of a shortcut are written on the keyboard. */
export function keyNames(keys: string): readonly string[] {
  return keys.split(/(?<=.) (?=.)/).map((key) => NAMES[key] ?? key.replace("mod+", APPLE ? "⌘" : "Ctrl ").replace(/.$/, (last) => (key.includes("+") ? last.toUpperCase() : last)));
}
