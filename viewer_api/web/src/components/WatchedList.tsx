import { useState } from "react";
import { extendWatch, nameOf, unwatch, type WatchedUser } from "../api/monitoring";
import { countdown } from "../format";
import { useNow } from "../hooks/useNow";

interface Props {
  readonly users: readonly WatchedUser[];
  readonly shown: readonly string[];
  readonly mayChange: boolean;
  readonly onToggle: (userId: string) => void;
  readonly onChanged: () => void;
}

const HOUR_MS = 3_600_000;

/** Everybody who is watched now: a tick shows or hides the panel, buttons extend and end the watch. */
export function WatchedList({ users, shown, mayChange, onToggle, onChanged }: Props) {
  const soon = users.some((user) => user.expiresAt !== null && Date.parse(user.expiresAt) - Date.now() < HOUR_MS);
  const now = useNow(Date.now, soon ? 1000 : 30_000);
  const [problem, setProblem] = useState<string | null>(null);
  const change = (asked: Promise<unknown>) =>
    asked.then(
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
              <span className="name" title={nameOf(user)}>
                {nameOf(user)}
              </span>
            </label>
            <span className="quiet">
              {user.expiresAt === null ? "until ended" : `${countdown(user.expiresAt, now)} left`}
              {user.metadataOnly ? " · without contents" : ""}
              {user.reason === null ? "" : ` · ${user.reason}`}
              {user.by === null ? "" : ` · by ${user.by}`}
              {user.extendedBy === null || user.extendedBy === user.by ? "" : ` · extended by ${user.extendedBy}`}
            </span>
            {mayChange && (
              <span className="buttons">
                {user.expiresAt !== null && (
                  <button
                    type="button"
                    onClick={() => void change(extendWatch(user.userId, 1))}
                    aria-label={`Watch ${nameOf(user)} one hour longer`}
                  >
                    +1 h
                  </button>
                )}
                <button
                  type="button"
                  onClick={() => void change(unwatch(user.userId))}
                  aria-label={`Stop watching ${nameOf(user)}`}
                >
                  Stop
                </button>
              </span>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
