import { useVirtualizer } from "@tanstack/react-virtual";
import { Copy, Download } from "lucide-react";
import { useMemo, useRef } from "react";
import type { Flow } from "../../api/flows";
import { copyText } from "../../components/clipboard";
import { saveText } from "../../components/saveText";
import type { FlowModel } from "../../live/liveFlows";
import { Button } from "../../ui/Button";
import styles from "./JsonView.module.css";

interface Props {
  readonly flow: Flow;
  readonly model: FlowModel;
  readonly version: number;
}

const LINE_HEIGHT = 18;

/** The flow as the API has it, with what has come since. */
export default function JsonView({ flow, model, version }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const text = useMemo(
    () => JSON.stringify({ ...flow, open: model.open, flow_data: { ...flow.flow_data, events: model.entries() } }, null, 2),
    [flow, model, version],
  );
  const lines = useMemo(() => text.split("\n"), [text]);
  const virtual = useVirtualizer({ count: lines.length, getScrollElement: () => scroller.current, estimateSize: () => LINE_HEIGHT, overscan: 30 });
  return (
    <div className={styles["json"]}>
      <div className={styles["buttons"]}>
        <Button icon={Copy} onPress={() => copyText("JSON", text)}>
          Copy
        </Button>
        <Button icon={Download} onPress={() => saveText(`flow-${model.flowId}.json`, text)} testId="save-json">
          Save
        </Button>
      </div>
      <div ref={scroller} className={styles["scroller"]} tabIndex={0} role="region" aria-label="JSON of the flow" data-testid="json">
        <div className={styles["lines"]} style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map(({ index, start }) => (
            <code key={index} className={styles["line"]} style={{ transform: `translateY(${start}px)` }}>
              {lines[index]}
            </code>
          ))}
        </div>
      </div>
    </div>
  );
}
