import { useCallback, useEffect, useState } from "react";
import { formatRoute, parseRoute, type Route } from "../route";

/** The view that the address names, and how to go to another. `replace` leaves no step in the browser's history. */
export function useRoute(): [Route, (route: Route, how?: "replace") => void] {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const onChange = () => setRoute(parseRoute(location.hash));
    addEventListener("hashchange", onChange);
    return () => removeEventListener("hashchange", onChange);
  }, []);
  const go = useCallback((next: Route, how?: "replace") => {
    if (how === "replace") history.replaceState(null, "", formatRoute(next));
    else history.pushState(null, "", formatRoute(next));
    setRoute(next);
  }, []);
  return [route, go];
}
