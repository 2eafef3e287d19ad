import { useEffect, useState } from "react";

const DARK = "(prefers-color-scheme: dark)";

/** Colours of the theme as a canvas understands them; `names` are separated by spaces. They change with the theme. */
export function useColours(names: string): readonly string[] {
  const [colours, setColours] = useState<readonly string[]>(() => resolved(names));
  useEffect(() => {
    const renew = () => setColours((before) => same(before, resolved(names)));
    renew();
    const system = matchMedia(DARK);
    system.addEventListener("change", renew);
    const observer = new MutationObserver(renew);
    observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      system.removeEventListener("change", renew);
      observer.disconnect();
    };
  }, [names]);
  return colours;
}

function resolved(names: string): readonly string[] {
  const probe = document.createElement("span");
  document.body.append(probe);
  try {
    return names.split(" ").map((name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    });
  } finally {
    probe.remove();
  }
}

const same = (before: readonly string[], after: readonly string[]) => (before.join() === after.join() ? before : after);
