import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { changed, formatRoute, parseRoute, type QueryChange, type Route } from "./route";

export interface Navigation {
  readonly route: Route;
  /** Show another view; with `replace` it takes the place of this one in the browser's history. */
  readonly go: (route: Route, how?: "replace") => void;
  /** Change parameters of this view. */
  readonly change: (change: QueryChange, how?: "replace") => void;
}

const NavigationContext = createContext<Navigation | null>(null);

export function NavigationProvider({ children }: { readonly children: ReactNode }) {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const onChange = () => setRoute(parseRoute(location.hash));
    addEventListener("hashchange", onChange);
    addEventListener("popstate", onChange);
    return () => {
      removeEventListener("hashchange", onChange);
      removeEventListener("popstate", onChange);
    };
  }, []);
  const go = useCallback((next: Route, how?: "replace") => {
    const address = formatRoute(next);
    if (how === "replace" || address === location.hash) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
    setRoute(parseRoute(address));
  }, []);
  const change = useCallback(
    (what: QueryChange, how?: "replace") => {
      const now = parseRoute(location.hash);
      go({ ...now, query: changed(now.query, what) }, how);
    },
    [go],
  );
  const navigation = useMemo(() => ({ route, go, change }), [route, go, change]);
  return <NavigationContext value={navigation}>{children}</NavigationContext>;
}

export function useNavigation(): Navigation {
  const navigation = useContext(NavigationContext);
  if (navigation === null) throw new Error("there is no navigation around this component");
  return navigation;
}
