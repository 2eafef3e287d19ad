/** What the page shows; it stands in the address after `#`, so that a view can be bookmarked and shared. */
export type Route =
  | { readonly view: "live"; readonly users: readonly string[] }
  | { readonly view: "history"; readonly user: string | null; readonly flow: string | null };

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const parameters = new URLSearchParams(query);
  if (path === "history") return { view: "history", user: parameters.get("user"), flow: parameters.get("flow") };
  return { view: "live", users: [...new Set(parameters.getAll("user"))] };
}

/** The same for somebody who may see only their `own` flows: an address without a view means their past ones. */
export function routeFor(hash: string, own: string | null): Route {
  const route = parseRoute(hash);
  if (own === null) return route;
  if (hash.replace(/^#\/?/, "") === "") return { view: "history", user: own, flow: null };
  return route.view === "live" ? { view: "live", users: [own] } : { ...route, user: own };
}

export function formatRoute(route: Route): string {
  const parameters = new URLSearchParams();
  if (route.view === "live") for (const user of route.users) parameters.append("user", user);
  else {
    if (route.user !== null) parameters.set("user", route.user);
    if (route.flow !== null) parameters.set("flow", route.flow);
  }
  const query = parameters.toString();
  return `#/${route.view}${query === "" ? "" : `?${query}`}`;
}
