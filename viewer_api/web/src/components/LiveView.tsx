import { useEffect } from "react";
import type { Watched } from "../hooks/useWatched";
import type { Route } from "../route";
import { EmptyLive } from "./EmptyLive";
import { UserPanel } from "./UserPanel";
import { WatchForm } from "./WatchForm";
import { WatchedList } from "./WatchedList";

interface Props {
  readonly route: Extract<Route, { view: "live" }>;
  readonly watched: Watched;
  readonly mayWatch: boolean;
  /** Set for who may see nobody else. */
  readonly own: string | null;
  readonly onGo: (route: Route, how?: "replace") => void;
}

/** So many panels open by themselves when the address names nobody. */
const FIRST_PANELS = 3;

/** Who is watched, and beside it a panel for each chosen user. */
export function LiveView({ route, watched, mayWatch, own, onGo }: Props) {
  const { users, problem, refresh } = watched;
  const show = (chosen: readonly string[], how?: "replace") => onGo({ view: "live", users: chosen }, how);
  const nobodyNamed = route.users.length === 0;
  useEffect(() => {
    if (nobodyNamed && users !== null && users.length > 0 && location.hash.replace(/^#\/?(live)?$/, "") === "") {
      onGo({ view: "live", users: users.slice(0, FIRST_PANELS).map((user) => user.userId) }, "replace");
    }
  }, [nobodyNamed, users, onGo]);
  const toggle = (userId: string) =>
    show(route.users.includes(userId) ? route.users.filter((other) => other !== userId) : [...route.users, userId]);
  return (
    <div className={mayWatch ? "live" : "live alone"}>
      {mayWatch && (
        <aside aria-label="Watched users">
          <WatchForm
            onWatched={(userId) => {
              refresh();
              if (!route.users.includes(userId)) show([...route.users, userId]);
            }}
            onHistory={(user) => onGo({ view: "history", user, flow: null })}
          />
          {problem !== null && (
            <p role="alert" className="alert">
              {problem}
            </p>
          )}
          {users !== null && (
            <WatchedList users={users} shown={route.users} mayChange onToggle={toggle} onChanged={refresh} />
          )}
        </aside>
      )}
      <main id="main" tabIndex={-1} className="panels">
        {route.users.map((userId) => (
          <UserPanel
            key={userId}
            userId={userId}
            watched={users?.find((other) => other.userId === userId)}
            onClose={own === null ? () => toggle(userId) : null}
            onHistory={() => onGo({ view: "history", user: userId, flow: null })}
          />
        ))}
        {route.users.length === 0 && users !== null && mayWatch && <EmptyLive someWatched={users.length > 0} />}
        {route.users.length === 0 && !mayWatch && (
          <p className="card" data-testid="empty">
            You may see your own flows, but nobody has said which user you are.
          </p>
        )}
      </main>
    </div>
  );
}
