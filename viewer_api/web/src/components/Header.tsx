import type { Session } from "../api/session";
import { formatRoute, type Route } from "../route";
import { ConnectionBadge } from "./ConnectionBadge";

interface Props {
  readonly session: Session;
  readonly route: Route;
  readonly own: string | null;
  readonly onGo: (route: Route) => void;
  readonly onLeave: () => void;
}

export function Header({ session, route, own, onGo, onLeave }: Props) {
  const link = (target: Route, text: string) => (
    <a
      href={formatRoute(target)}
      aria-current={route.view === target.view ? "page" : undefined}
      onClick={(event) => {
        event.preventDefault();
        if (route.view !== target.view) onGo(target);
      }}
    >
      {text}
    </a>
  );
  return (
    <header>
      <span className="brand">Spanflow</span>
      <nav aria-label="Views">
        {link({ view: "live", users: own === null ? [] : [own] }, "Live")}
        {link({ view: "history", user: own, flow: null }, "History")}
      </nav>
      <ConnectionBadge />
      <span className="who">{session.name}</span>
      <button type="button" onClick={onLeave} data-testid="sign-out">
        Sign out
      </button>
    </header>
  );
}
