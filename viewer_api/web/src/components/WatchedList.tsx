import { useState } from "react";
import { nameOf, unwatch, type WatchedUser } from "../api/monitoring";
import { until } from "../format";
import { useNow } from "../hooks/useNow";

interface Props {
  readonly users: readonly WatchedUser[];
  readonly shown: readonly string[];
  readonly mayChange: boolean;
  readonly onToggle: (userId: string) => void;
  readonly onChanged: () => void;
}

/** Everybody who is watched now: a tick shows or hides the panel, a button ends the watch. */
export function WatchedList({ users, shown, mayChange, onToggle, onChanged }: Props) {
  const now = useNow(Date.now, 30_000);
  const [problem, setProblem] = useState<string | null>(null);
  const end = (userId: string) =>
    unwatch(userId).then(
      () => {
        setProblem(null);
        onChanged();
      },
      (error: unknown) => setProblem(String(error instanceof Error ? error.message : error)),
    );
  return (
    <section aria-labelledby="watched-title">
      <h2 id="watched-title">Watched now</h2>
      {problem !== null && (
        <p role="alert" className="alert">
          {problem}
        </p>
      )}
      {users.length === 0 && <p className="quiet">Nobody.</p>}
      <ul className="people" data-testid="watched-list">
        {users.map((user) => (
          <li key={user.userId} data-testid="watched-user" data-user-id={user.userId}>
            <label>
              <input type="checkbox" checked={shown.includes(user.userId)} onChange={() => onToggle(user.userId)} />
              <span className="name">{nameOf(user)}</span>
            </label>
            <span className="quiet">
              {user.expiresAt === null ? "until ended" : `${until(user.expiresAt, now)} left`}
              {user.reason === null ? "" : ` · ${user.reason}`}
              {user.by === null ? "" : ` · by ${user.by}`}
            </span>
            {mayChange && (
              <button type="button" onClick={() => void end(user.userId)} aria-label={`Stop watching ${nameOf(user)}`}>
                Stop
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
