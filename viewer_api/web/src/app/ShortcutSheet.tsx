import { Dialog } from "../ui/Dialog";
import { keyNames } from "./keyNames";
import { presentShortcuts, type Shortcut } from "./shortcuts";
import styles from "./ShortcutSheet.module.css";

/** Every key that works on this page. */
export default function ShortcutSheet({ open, onClose }: { readonly open: boolean; readonly onClose: () => void }) {
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
