import { useCallback, useEffect, useState } from "react";
import { formatRoute, routeFor, type Route } from "../route";

/**
 * The view that the address names, and how to go to another. `replace` leaves no step in the browser's history. Who may
 * see only `own` flows begins with them, and is never led to somebody else's.
 */
export function useRoute(own: string | null): [Route, (route: Route, how?: "replace") => void] {
  const [route, setRoute] = useState(() => routeFor(location.hash, own));
  useEffect(() => {
    const onChange = () => setRoute(routeFor(location.hash, own));
    addEventListener("hashchange", onChange);
    return () => removeEventListener("hashchange", onChange);
  }, [own]);
  const go = useCallback((next: Route, how?: "replace") => {
    if (how === "replace") history.replaceState(null, "", formatRoute(next));
    else history.pushState(null, "", formatRoute(next));
    setRoute(next);
  }, []);
  return [route, go];
}
