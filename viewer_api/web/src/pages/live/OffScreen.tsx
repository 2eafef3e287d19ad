import { ArrowDown, ArrowUp } from "lucide-react";
import { useEffect, useMemo, useState, type RefObject } from "react";
import type { WatchedUser } from "../../api/monitoring";
import { useTopic } from "../../hooks/useLive";
import { useName } from "../../hooks/useName";
import { userTopic } from "../../live/topic";
import { connectionOf } from "../../tree/connection";
import { Button } from "../../ui/Button";
import styles from "./LivePage.module.css";

interface Props {
  readonly panels: RefObject<HTMLDivElement | null>;
  readonly userIds: readonly string[];
  readonly users: readonly WatchedUser[] | undefined;
}

type Side = "above" | "below";

/** Marks for the panels that are not in view and in which something runs. */
export function OffScreen({ panels, userIds, users }: Props) {
  const [hidden, setHidden] = useState<ReadonlyMap<string, Side>>(new Map());
  const listed = userIds.join();
  useEffect(() => {
    const root = panels.current;
    if (root === null) return undefined;
    const observer = new IntersectionObserver((entries) => {
      setHidden((before) => {
        const after = new Map(before);
        for (const { target, isIntersecting, boundingClientRect, rootBounds } of entries) {
          const userId = (target as HTMLElement).dataset["userId"] ?? "";
          if (isIntersecting) after.delete(userId);
          else after.set(userId, boundingClientRect.top < (rootBounds?.top ?? 0) ? "above" : "below");
        }
        return after;
      });
    });
    for (const panel of root.querySelectorAll("[data-testid=panel]")) observer.observe(panel);
    return () => observer.disconnect();
  }, [panels, listed]);
  const marks = userIds.flatMap((userId) => {
    const side = hidden.get(userId);
    return side === undefined ? [] : [{ userId, side }];
  });
  if (marks.length === 0) return null;
  return (
    <div className={styles["marks"]}>
      {marks.map(({ userId, side }) => (
        <Mark
          key={userId}
          userId={userId}
          side={side}
          watched={users?.find((user) => user.userId === userId)}
          onShow={() => panels.current?.querySelector(`[data-user-id="${CSS.escape(userId)}"]`)?.scrollIntoView({ block: "start" })}
        />
      ))}
    </div>
  );
}

interface MarkProps {
  readonly userId: string;
  readonly side: Side;
  readonly watched: WatchedUser | undefined;
  readonly onShow: () => void;
}

function Mark({ userId, side, watched, onShow }: MarkProps) {
  const flows = [...useTopic(useMemo(() => userTopic(userId), [userId])).flows.values()];
  const running = flows.filter((model) => model.open && connectionOf(model) === null).length;
  const name = useName(userId, watched);
  return (
    <Button icon={side === "above" ? ArrowUp : ArrowDown} onPress={onShow} testId="off-screen">
      {name}
      {running > 0 && <strong>{running} running</strong>}
    </Button>
  );
}
