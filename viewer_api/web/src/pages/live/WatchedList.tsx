import { useMutation } from "@tanstack/react-query";
import { extendWatch, nameOf, unwatch, type WatchedUser } from "../../api/monitoring";
import { countdown } from "../../format";
import { useLiveStore } from "../../hooks/useLive";
import { useNow } from "../../hooks/useNow";
import { Button } from "../../ui/Button";
import { Checkbox } from "../../ui/Field";
import { Notice } from "../../ui/Notice";
import { tell } from "../../ui/tell";
import { again } from "./PanelTools";
import styles from "./LivePage.module.css";

interface Props {
  readonly users: readonly WatchedUser[];
  readonly shown: readonly string[];
  readonly onToggle: (userId: string) => void;
  readonly onChanged: () => void;
}

/** All users watched now: a tick shows or hides the panel, buttons extend and end the watch. */
export function WatchedList({ users, shown, onToggle, onChanged }: Props) {
  const store = useLiveStore();
  const now = useNow(Date.now, 1000);
  const change = useMutation({ mutationFn: (ask: () => Promise<unknown>) => ask(), onSuccess: onChanged });
  const stop = (user: WatchedUser) =>
    change.mutate(() => unwatch(user.userId), {
      onSuccess: () => tell(`${nameOf(user)} is no longer watched`, () => change.mutate(() => again(user).then(() => store.renew(user.userId)))),
    });
  return (
    <section aria-labelledby="watched-title">
      <h2 id="watched-title">Watched now</h2>
      {change.error !== null && <Notice kind="problem">{change.error.message}</Notice>}
      {users.length === 0 && <p className="quiet">No user is watched.</p>}
      <ul className={styles["watched"]} data-testid="watched-list">
        {users.map((user) => (
          <li key={user.userId} data-testid="watched-user" data-user-id={user.userId}>
            <div className={styles["who"]}>
              <Checkbox checked={shown.includes(user.userId)} onChange={() => onToggle(user.userId)} label={`Show ${nameOf(user)}`}>
                <span className="truncate name" title={user.email ?? nameOf(user)}>
                  {nameOf(user)}
                </span>
              </Checkbox>
            </div>
            <span className={`${styles["left"]} quiet`}>{user.expiresAt === null ? "until ended" : `${countdown(user.expiresAt, now)} left`}</span>
            <span className={styles["buttons"]}>
              {user.expiresAt !== null && (
                <Button onPress={() => change.mutate(() => extendWatch(user.userId, 1))} aria-label={`+1 h: watch ${nameOf(user)} one hour longer`}>
                  +1 h
                </Button>
              )}
              <Button onPress={() => stop(user)} aria-label={`Stop watching ${nameOf(user)}`}>
                Stop
              </Button>
            </span>
            <span className={styles["facts"]}>{termsOf(user)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Why they are watched, by whom, and how. */
function termsOf({ metadataOnly, reason, by, extendedBy }: WatchedUser): string {
  const terms = [
    reason,
    by === null ? null : `by ${by}`,
    extendedBy === null || extendedBy === by ? null : `extended by ${extendedBy}`,
    metadataOnly ? "without contents" : null,
  ];
  return terms.filter((term) => term !== null).join(" · ");
}
