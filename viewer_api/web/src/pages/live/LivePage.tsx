import { CirclePlay, Rows2, Rows4, Users } from "lucide-react";
import { useEffect, useId, useRef, useState } from "react";
import { useSignedIn } from "../../app/session";
import { EMBEDDED } from "../../app/embed";
import { mayWatch, onlyThemselves } from "../../api/session";
import { nameOf, type WatchedUser } from "../../api/monitoring";
import { useWatched } from "../../hooks/useWatched";
import { one, several, to } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { isId } from "../../reducer/ids";
import { Button } from "../../ui/Button";
import { Empty, Notice } from "../../ui/Notice";
import { ToggleButton } from "../../ui/ToggleButton";
import { LiveDetails, type Chosen } from "./LiveDetails";
import { EmptyWall } from "./EmptyWall";
import { OffScreen } from "./OffScreen";
import { UserPanel } from "./UserPanel";
import { WatchForm } from "./WatchForm";
import { WatchedList } from "./WatchedList";
import styles from "./LivePage.module.css";

/** Panels that open by default when the address names no user. */
const FIRST_PANELS = 3;

/** The wall: who is watched, and beside it a panel for each chosen user, growing while things happen. */
export default function LivePage() {
  const { route, change, go } = useNavigation();
  const session = useSignedIn();
  const own = onlyThemselves(session);
  const watches = mayWatch(session);
  const { users, problem, refresh } = useWatched();
  const [chosen, choose] = useState<Chosen | null>(null);
  const shown = own === null ? several(route.query, "user") : [own];
  const compact = one(route.query, "density") === "compact";
  const unnamed = own === null && shown.length === 0 && one(route.query, "none") === null;
  const panels = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (unnamed && users !== undefined && users.length > 0) {
      change({ user: users.slice(0, FIRST_PANELS).map((user) => user.userId) }, "replace");
    }
  }, [unnamed, users, change]);
  const show = (userIds: readonly string[]) => change({ user: userIds, none: userIds.length === 0 ? "1" : null });
  const toggle = (userId: string) => show(shown.includes(userId) ? shown.filter((other) => other !== userId) : [...shown, userId]);
  const moveTo = (userId: string, place: number) => {
    if (!shown.includes(userId) || place < 0 || place >= shown.length) return;
    const others = shown.filter((other) => other !== userId);
    change({ user: [...others.slice(0, place), userId, ...others.slice(place)] }, "replace");
  };
  const offered = useOffered(users, shown);
  const peopleId = useId();
  const [fold, setFold] = useState<boolean | null>(null);
  // Without a panel there is nothing else to do here.
  const unfolded = fold ?? (users?.length === 0 || (shown.length === 0 && !unnamed));
  const alone = !watches || EMBEDDED;
  return (
    <div className={styles["page"]} data-alone={alone} data-details={chosen !== null}>
      {!alone && (
        <aside id={peopleId} className={styles["people"]} aria-label="Watched users" data-open={unfolded} data-testid="people">
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
      <div className={styles["wall"]}>
        <div className={styles["tools"]}>
          <h1>Live</h1>
          {users !== undefined && users.length > 0 && (
            <span className="quiet">
              {users.length} {users.length === 1 ? "user" : "users"} watched
            </span>
          )}
          <span className={styles["end"]}>
            {shown.length > 0 && session.rights.includes("read") && (
              <Button icon={CirclePlay} onPress={() => go(to("playback", null, { user_id: shown }))} testId="play-wall">
                Play back
              </Button>
            )}
            {!alone && (
              <span className={styles["fold"]}>
                <Button icon={Users} aria-expanded={unfolded} aria-controls={peopleId} onPress={() => setFold(!unfolded)} testId="fold-people">
                  Users
                </Button>
              </span>
            )}
            {shown.length > 0 && (
              <ToggleButton
                on={compact}
                icon={compact ? Rows4 : Rows2}
                onChange={(on) => change({ density: on ? "compact" : null }, "replace")}
                testId="density"
              >
                Compact
              </ToggleButton>
            )}
          </span>
          {shown.length > 0 &&
            offered.users.map((user) => (
              <Notice key={user.userId} testId="offered" action={<OfferedActions onShow={() => toggle(user.userId)} onDismiss={() => offered.dismiss(user.userId)} />}>
                <strong>{nameOf(user)}</strong> is watched now
              </Notice>
            ))}
        </div>
        <div ref={panels} className={styles["panels"]} data-compact={compact}>
          {shown.filter((userId) => !isId(userId)).map((userId) => (
            <Notice key={userId} kind="problem" action={<Button onPress={() => toggle(userId)}>Close</Button>}>
              No user has such an id: at most 128 characters, none of them a brace, a slash or a control character.
            </Notice>
          ))}
          {shown.filter(isId).map((userId, index) => (
            <UserPanel
              key={userId}
              userId={userId}
              watched={users?.find((other) => other.userId === userId)}
              compact={compact}
              onClose={own === null && !EMBEDDED ? () => toggle(userId) : null}
              onMove={shown.length > 1 ? (by) => moveTo(userId, index + by) : null}
              onDrop={(dropped) => moveTo(dropped, index)}
              onChanged={refresh}
              chosen={chosen?.userId === userId ? chosen : null}
              onChoose={choose}
            />
          ))}
          {shown.length === 0 && users !== undefined && watches && <EmptyWall someWatched={users.length > 0} />}
          {shown.length === 0 && !watches && (
            <Empty title="No user is known for this sign-in">
              <p>You may see your own flows, but the sign-in does not say which user you are.</p>
            </Empty>
          )}
        </div>
        <OffScreen panels={panels} userIds={shown} users={users} />
      </div>
      {chosen !== null && <LiveDetails chosen={chosen} onClose={() => choose(null)} />}
    </div>
  );
}

function OfferedActions({ onShow, onDismiss }: { readonly onShow: () => void; readonly onDismiss: () => void }) {
  return (
    <>
      <Button onPress={onShow}>Show</Button>
      <Button look="plain" onPress={onDismiss}>
        Not now
      </Button>
    </>
  );
}

/** Users watched since the page was opened who have no panel. */
function useOffered(users: readonly WatchedUser[] | undefined, shown: readonly string[]) {
  const known = useRef<Set<string> | null>(null);
  const [dismissed, setDismissed] = useState<ReadonlySet<string>>(new Set());
  if (known.current === null && users !== undefined) known.current = new Set(users.map((user) => user.userId));
  // A closed panel is not offered again.
  for (const userId of shown) known.current?.add(userId);
  return {
    users: (users ?? []).filter(({ userId }) => known.current?.has(userId) === false && !shown.includes(userId) && !dismissed.has(userId)),
    dismiss: (userId: string) => setDismissed(new Set([...dismissed, userId])),
  };
}
