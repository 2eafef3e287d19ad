import { Activity, Bell, ChartSpline, GitCompare, HeartPulse, MessagesSquare, Radio, ScrollText, Settings, Users, type LucideIcon } from "lucide-react";
import { lazy, type ComponentType, type LazyExoticComponent } from "react";
import { to, type Route } from "../navigation/route";
import type { Session } from "../api/session";

/** One page of the dashboard. The table below is the menu, the palette and the routing at once. */
export interface Page {
  /** As it stands in the address. */
  readonly name: string;
  readonly title: string;
  /** Null for a page that is reached from others only. */
  readonly icon: LucideIcon | null;
  /** `g` and this letter leads there. */
  readonly letter: string | null;
  readonly right: string | null;
  readonly view: LazyExoticComponent<ComponentType>;
}

const page = (load: () => Promise<{ readonly default: ComponentType }>) => lazy(load);

const PAGES: readonly Page[] = [
  { name: "flows", title: "Flows", icon: Activity, letter: "f", right: "read", view: page(() => import("../pages/flows/FlowsPage")) },
  { name: "live", title: "Live", icon: Radio, letter: "l", right: "live", view: page(() => import("../pages/live/LivePage")) },
  {
    name: "conversations",
    title: "Conversations",
    icon: MessagesSquare,
    letter: "c",
    right: "read",
    view: page(() => import("../pages/conversations/ConversationsPage")),
  },
  {
    name: "statistics",
    title: "Statistics",
    icon: ChartSpline,
    letter: "t",
    right: "read",
    view: page(() => import("../pages/statistics/StatisticsPage")),
  },
  { name: "compare", title: "Compare", icon: GitCompare, letter: "d", right: "read", view: page(() => import("../pages/compare/ComparePage")) },
  { name: "users", title: "Users", icon: Users, letter: "u", right: "read", view: page(() => import("../pages/users/UsersPage")) },
  { name: "alerts", title: "Alerts", icon: Bell, letter: "e", right: "monitor", view: page(() => import("../pages/alerts/AlertsPage")) },
  { name: "audit", title: "Audit", icon: ScrollText, letter: "a", right: "audit", view: page(() => import("../pages/audit/AuditPage")) },
  { name: "health", title: "Health", icon: HeartPulse, letter: "h", right: null, view: page(() => import("../pages/health/HealthPage")) },
  { name: "settings", title: "Settings", icon: Settings, letter: "s", right: null, view: page(() => import("../pages/settings/SettingsPage")) },
  { name: "playback", title: "Playback", icon: null, letter: null, right: "read", view: page(() => import("../pages/playback/PlaybackPage")) },
  { name: "flow", title: "Flow", icon: null, letter: null, right: "read", view: page(() => import("../pages/flow/FlowPage")) },
];

export function pageOf(route: Route): Page | undefined {
  return PAGES.find((page) => page.name === route.page);
}

/** The menu's pages for these rights. */
export function menuOf(session: Session): readonly Page[] {
  return PAGES.filter((page) => page.icon !== null && (page.right === null || session.rights.includes(page.right)));
}

export const routeTo = (page: Page): Route => to(page.name);
