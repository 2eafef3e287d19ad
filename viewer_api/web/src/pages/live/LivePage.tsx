import { useEffect, useState } from "react";
import { useSignedIn } from "../../app/session";
import { mayWatch, onlyThemselves } from "../../api/session";
import { useWatched } from "../../hooks/useWatched";
import { several } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Empty, Notice } from "../../ui/Notice";
import { LiveDetails, type Chosen } from "./LiveDetails";
import { NobodyShown } from "./NobodyShown";
import { UserPanel } from "./UserPanel";
import { WatchForm } from "./WatchForm";
import { WatchedList } from "./WatchedList";
import styles from "./LivePage.module.css";

/** So many panels open by themselves when the address names nobody. */
const FIRST_PANELS = 3;

/** The wall: who is watched, and beside it a panel for each chosen user, growing while things happen. */
export default function LivePage() {
  const { route, change } = useNavigation();
  const session = useSignedIn();
  const own = onlyThemselves(session);
  const watches = mayWatch(session);
  const { users, problem, refresh } = useWatched();
  const [chosen, choose] = useState<Chosen | null>(null);
  const shown = own === null ? several(route.query, "user") : [own];
  const unnamed = own === null && shown.length === 0 && Object.keys(route.query).length === 0;
  useEffect(() => {
    if (unnamed && users !== undefined && users.length > 0) {
      change({ user: users.slice(0, FIRST_PANELS).map((user) => user.userId) }, "replace");
    }
  }, [unnamed, users, change]);
  const show = (userIds: readonly string[]) => change({ user: userIds, none: userIds.length === 0 ? "1" : null });
  const toggle = (userId: string) => show(shown.includes(userId) ? shown.filter((other) => other !== userId) : [...shown, userId]);
  return (
    <div className={styles["page"]} data-alone={!watches} data-details={chosen !== null}>
      {watches && (
        <aside className={styles["people"]} aria-label="Watched users">
          <WatchForm
            onWatched={(userId) => {
              refresh();
              if (!shown.includes(userId)) show([...shown, userId]);
            }}
          />
          {problem !== null && <Notice kind="problem">{problem}</Notice>}
          {users !== undefined && <WatchedList users={users} shown={shown} onToggle={toggle} onChanged={refresh} />}
        </aside>
      )}
      <div className={styles["panels"]}>
        {shown.map((userId) => (
          <UserPanel
            key={userId}
            userId={userId}
            watched={users?.find((other) => other.userId === userId)}
            onClose={own === null ? () => toggle(userId) : null}
            chosen={chosen?.userId === userId ? chosen : null}
            onChoose={choose}
          />
        ))}
        {shown.length === 0 && users !== undefined && watches && <NobodyShown someWatched={users.length > 0} />}
        {shown.length === 0 && !watches && (
          <Empty title="No user is known for this sign-in">
            <p>You may see your own flows, but the sign-in does not say which user you are.</p>
          </Empty>
        )}
      </div>
      {chosen !== null && <LiveDetails chosen={chosen} onClose={() => choose(null)} />}
    </div>
  );
}
