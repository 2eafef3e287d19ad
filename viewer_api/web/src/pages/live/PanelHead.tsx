import { GripVertical, X } from "lucide-react";
import { memo, type DragEvent, type KeyboardEvent } from "react";
import type { WatchedUser } from "../../api/monitoring";
import { IconButton } from "../../ui/Button";
import { PauseButton, WatchTools } from "./PanelTools";
import styles from "./UserPanel.module.css";

interface Props {
  readonly id: string;
  readonly userId: string;
  readonly name: string;
  readonly watched: WatchedUser | undefined;
  readonly paused: boolean;
  readonly onPause: () => void;
  readonly onClose: (() => void) | null;
  readonly onMove: ((by: number) => void) | null;
  readonly onDragStart: (event: DragEvent) => void;
  readonly onChanged: () => void;
}

/** Whose panel it is, and its tools. Not drawn anew whenever something happens in the panel. */
export const PanelHead = memo(function PanelHead({ id, userId, name, watched, paused, onPause, onClose, onMove, onDragStart, onChanged }: Props) {
  const onGrip = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (by === undefined || onMove === null) return;
    event.preventDefault();
    onMove(by);
  };
  return (
    <div className={styles["head"]}>
      {onMove !== null && (
        <button
          type="button"
          className={styles["grip"]}
          draggable
          aria-label={`Move the panel of ${name}: drag, or use the arrow keys`}
          onKeyDown={onGrip}
          onDragStart={onDragStart}
          data-testid="panel-grip"
        >
          <GripVertical size={15} aria-hidden="true" />
        </button>
      )}
      <h2 id={id} className="truncate" title={`user ${userId}`}>
        {watched?.fullName ?? name}
      </h2>
      <PauseButton paused={paused} onPause={onPause} name={name} />
      {watched !== undefined && <WatchTools watched={watched} onChanged={onChanged} />}
      {onClose !== null && <IconButton icon={X} label={`Close the panel of ${name}`} onPress={onClose} />}
    </div>
  );
});
