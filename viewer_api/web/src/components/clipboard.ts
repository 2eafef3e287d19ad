import { apiUrl } from "../api/http";
import { formatRoute, type Route } from "../navigation/route";
import { tell } from "../ui/tell";

export function copyText(what: string, text: string): void {
  navigator.clipboard.writeText(text).then(
    () => tell(`${what} copied`),
    () => tell(`${what} could not be copied: the browser does not allow it here`),
  );
}

/** The whole address of a view, for others. */
export const addressOf = (route: Route): string => new URL(formatRoute(route), location.href).href;

/** A command that reads the same flow; the token stays where it is. */
export function curlOf(flowId: string): string {
  return `curl -H "Authorization: Bearer $SPANFLOW_VIEWER_TOKEN" '${apiUrl(`flows/${encodeURIComponent(flowId)}`).href.replaceAll("'", "%27")}'`;
}
