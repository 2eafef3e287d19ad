import { one, parseRoute } from "../navigation/route";

/** Whether the page is shown inside another one, without a menu: said by the address it was opened with. */
export const EMBEDDED = one(parseRoute(location.hash).query, "embed") !== null || new URLSearchParams(location.search).has("embed");
