import { useCallback, useState } from "react";
import { stored } from "../storage";

export type Theme = "system" | "light" | "dark";

const KEY = "spanflow.theme";

/** Set before the first frame, so that the page does not flash. */
export function applyTheme(theme: Theme = storedTheme()): void {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}

export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState(storedTheme);
  const choose = useCallback((next: Theme) => {
    stored(() => localStorage.setItem(KEY, next));
    applyTheme(next);
    setTheme(next);
  }, []);
  return [theme, choose];
}

function storedTheme(): Theme {
  const found = stored(() => localStorage.getItem(KEY));
  return found === "light" || found === "dark" ? found : "system";
}
