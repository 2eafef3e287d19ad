import type { Counted, Funnel, Gate } from "../../api/statistics";
import { duration } from "../../format";
import { kindOf } from "../../tree/kind";
import { CountLink } from "./CountLink";
import styles from "./FunnelView.module.css";

const PARTS = [
  { id: "passed", sign: "→", text: "went on" },
  { id: "ended", sign: "✓", text: "ended well" },
  { id: "denied", sign: "⊘", text: "denied" },
  { id: "failed", sign: "✕", text: "failed" },
  { id: "abandoned", sign: "◌", text: "abandoned" },
] as const;

/** How far flows get: of each gate how many reached it, and what became of them there. */
export function FunnelView({ funnel }: { readonly funnel: Funnel }) {
  const most = Math.max(1, ...funnel.gates.map(({ reached }) => reached.count));
  return (
    <div className={styles["funnel"]} data-testid="funnel">
      <ul className={styles["legend"]} aria-label="Legend">
        {PARTS.map(({ id, sign, text }) => (
          <li key={id} data-part={id} className={styles["key"]}>
            <span aria-hidden="true" className={styles["sign"]}>
              {sign}
            </span>
            {text}
          </li>
        ))}
      </ul>
      <ol className={styles["gates"]}>
        {funnel.gates.map((gate) => (
          <GateRow key={gate.gate} gate={gate} most={most} />
        ))}
      </ol>
    </div>
  );
}

function GateRow({ gate, most }: { readonly gate: Gate; readonly most: number }) {
  const parts = PARTS.map((part) => ({ ...part, counted: gate[part.id] })).filter(({ counted }) => counted.count > 0);
  return (
    <li className={styles["gate"]} data-testid="gate" data-gate={gate.gate}>
      <span className={styles["name"]} data-kind={kindOf(gate.gate)}>
        {gate.gate}
      </span>
      <span className={`${styles["reached"]} number`}>
        <CountLink counted={gate.reached} label={`flows came to ${gate.gate}`} />
      </span>
      <span className={styles["track"]} aria-hidden="true">
        {parts.map(({ id, counted }) => (
          <span key={id} className={styles["part"]} data-part={id} style={{ width: `${(counted.count / most) * 100}%` }} />
        ))}
      </span>
      <span className={styles["parts"]}>
        {parts.map(({ id, sign, text, counted }) => (
          <Part key={id} id={id} sign={sign} text={`${text} at ${gate.gate}`} counted={counted} />
        ))}
      </span>
      <span className={`${styles["took"]} number quiet`}>{gate.p95_ms === null ? "" : `p95 ${duration(gate.p95_ms)}`}</span>
    </li>
  );
}

function Part({ id, sign, text, counted }: { readonly id: string; readonly sign: string; readonly text: string; readonly counted: Counted }) {
  return (
    <span className={styles["key"]} data-part={id} title={text}>
      <span aria-hidden="true" className={styles["sign"]}>
        {sign}
      </span>
      <CountLink counted={counted} label={`flows ${text}`} />
    </span>
  );
}
