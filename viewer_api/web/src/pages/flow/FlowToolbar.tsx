import { ChevronsDownUp, ChevronsUpDown, Maximize2, TriangleAlert } from "lucide-react";
import { Button, IconButton } from "../../ui/Button";
import { ToggleButton } from "../../ui/ToggleButton";
import { SearchInFlow } from "./SearchInFlow";
import type { FlowView } from "./useFlowView";
import styles from "./FlowWorkspace.module.css";

interface Props {
  readonly view: FlowView;
  readonly found: readonly string[];
  readonly failed: readonly string[];
  /** What went wrong there. */
  readonly failedWords: string;
  /** Where the keyboard is. */
  readonly at: string;
  readonly hasCritical: boolean;
  readonly onGo: (nodeId: string) => void;
  readonly onFailure: () => void;
  readonly onFold: () => void;
  readonly onUnfold: () => void;
}

/** The search, and what changes how the tree is drawn. */
export function FlowToolbar({ view, found, failed, failedWords, at, hasCritical, onGo, onFailure, onFold, onUnfold }: Props) {
  const position = failed.indexOf(at);
  const inTree = view.view === "tree" || view.view === "graph";
  return (
    <div className={styles["toolbar"]} role="toolbar" aria-label="Flow">
      <SearchInFlow text={view.search} found={found} at={found.indexOf(at)} onText={view.find} onGo={onGo} />
      {failed.length > 0 && (
        <Button icon={TriangleAlert} look={failedWords.includes("failed") ? "danger" : "usual"} onPress={onFailure} testId="next-failure">
          {position >= 0 && failed.length > 1 ? `${position + 1} of ` : ""}
          {failedWords} <kbd>e</kbd>
          <span className="visually-hidden">next step that went wrong</span>
        </Button>
      )}
      <span className={styles["end"]}>
        {inTree && (
          <>
            {hasCritical && (
              <ToggleButton on={view.critical} onChange={view.setCritical} testId="critical-path">
                Critical path
              </ToggleButton>
            )}
            {view.range !== null && view.view === "tree" && (
              <Button icon={Maximize2} onPress={() => view.setRange(null, 0n)} testId="whole-time">
                Full range <kbd>0</kbd>
              </Button>
            )}
            <IconButton icon={ChevronsDownUp} label="Collapse all" keys="[" onPress={onFold} />
            <IconButton icon={ChevronsUpDown} label="Expand all" keys="]" onPress={onUnfold} />
          </>
        )}
      </span>
    </div>
  );
}
