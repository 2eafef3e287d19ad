import { Dialog } from "../ui/Overlay";
import { presentShortcuts, type Shortcut } from "./shortcuts";
import styles from "./ShortcutSheet.module.css";

const NAMES: Readonly<Record<string, string>> = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", " ": "Space" };
const APPLE = /Mac|iPhone|iPad/.test(navigator.userAgent);

export function keyNames(keys: string): readonly string[] {
  return keys.split(/(?<=.) (?=.)/).map((key) => NAMES[key] ?? key.replace("mod+", APPLE ? "⌘" : "Ctrl ").replace(/.$/, (last) => (key.includes("+") ? last.toUpperCase() : last)));
}

/** Every key that works on this page. */
export function ShortcutSheet({ open, onClose }: { readonly open: boolean; readonly onClose: () => void }) {
  const groups = new Map<string, Shortcut[]>();
  if (open) for (const shortcut of presentShortcuts()) groups.set(shortcut.group, [...(groups.get(shortcut.group) ?? []), shortcut]);
  return (
    <Dialog title="Keyboard shortcuts" open={open} onClose={onClose} testId="shortcut-sheet">
      <div className={styles["groups"]}>
        {[...groups].map(([group, shortcuts]) => (
          <section key={group} aria-label={group}>
            <h3>{group}</h3>
            <dl className={styles["keys"]}>
              {shortcuts.map(({ keys, text }) => (
                <div key={keys} className={styles["line"]}>
                  <dt>{text}</dt>
                  <dd>
                    {keyNames(keys).map((key) => (
                      <kbd key={key}>{key}</kbd>
                    ))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
