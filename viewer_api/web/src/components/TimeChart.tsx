import { useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { usePreferences } from "../app/preferences";
import { useColours } from "../hooks/useColours";
import styles from "./TimeChart.module.css";

export interface Line {
  readonly label: string;
  /** Name of a colour, such as `--accent`. */
  readonly colour: string;
  /** One for each interval; null where there is none. */
  readonly values: readonly (number | null)[];
  readonly dash?: readonly number[];
}

interface Props {
  readonly label: string;
  /** Bars stand on each other in the order of the lines: each value is a part of the one before. */
  readonly kind: "lines" | "bars";
  /** Where each interval begins and ends, in milliseconds. */
  readonly slots: readonly { readonly startMs: number; readonly endMs: number }[];
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  /** Labels of the axis, where they are shorter. */
  readonly axis?: (value: number) => string;
  /** An interval was clicked. */
  readonly onPick?: (index: number) => void;
  /** A range was dragged over. */
  readonly onRange?: (fromMs: number, toMs: number) => void;
}

const HEIGHT = 180;
const LEAST_DRAG_PX = 6;
const DAY_S = 86_400;

/** Values over time: the pointer tells what they are, a drag narrows the range, a click leads to what is behind a point. */
export default function TimeChart({ label, kind, slots, lines, format, axis = format, onPick, onRange }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const utc = usePreferences().times === "utc";
  const colours = useColours(["--quiet", "--line", ...lines.map(({ colour }) => colour)].join(" "));
  const [hovered, setHovered] = useState<number | null>(null);
  const latest = useRef({ axis, onPick, onRange, slots });
  latest.current = { axis, onPick, onRange, slots };
  const data = useMemo(
    (): uPlot.AlignedData => [slots.map(({ startMs, endMs }) => (startMs + endMs) / 2000), ...lines.map(({ values }) => [...values])],
    [slots, lines],
  );
  const shape = lines.map((line) => `${line.label} ${line.colour}`).join();
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const [quiet = "", line = "", ...own] = colours;
    const drawn = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: AXIS_FONT };
    const made = new uPlot(
      {
        width: Math.max(element.clientWidth, 200),
        height: HEIGHT,
        legend: { show: false },
        padding: [8, 18, 0, 0],
        cursor: { y: false, points: { show: kind === "lines" }, drag: { x: true, y: false, setScale: false, dist: LEAST_DRAG_PX } },
        scales: {
          x: { range: () => [edge(latest.current.slots, "startMs"), edge(latest.current.slots, "endMs")] },
          y: { range: (_self, _least, most) => [0, most > 0 ? most * 1.08 : 1] },
        },
        axes: [
          { ...drawn, grid: { show: false }, space: 64, size: 26, gap: 8, values: (_self, splits, _axis, _space, step) => splits.map((at) => moment(at, step, utc)) },
          { ...drawn, size: (_self, values) => 14 + 7 * Math.max(0, ...(values ?? []).map((text) => text.length)), space: 36, values: (_self, splits) => splits.map((value) => latest.current.axis(value)) },
        ],
        series: [
          {},
          ...lines.map((each, index) => ({
            label: each.label,
            stroke: own[index] ?? quiet,
            width: kind === "lines" ? 1.8 : 0,
            ...(each.dash === undefined ? {} : { dash: [...each.dash] }),
            ...(kind === "bars" ? { fill: own[index] ?? quiet, paths: BARS, points: { show: false } } : { spanGaps: true }),
          })),
        ],
        hooks: {
          setCursor: [(self) => setHovered(self.cursor.idx ?? null)],
          setSelect: [
            (self) => {
              const { left, width } = self.select;
              if (width < LEAST_DRAG_PX) return;
              self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
              latest.current.onRange?.(self.posToVal(left, "x") * 1000, self.posToVal(left + width, "x") * 1000);
            },
          ],
        },
      },
      data,
      element,
    );
    let pressedAt = 0;
    made.over.addEventListener("mousedown", (event) => (pressedAt = event.clientX));
    made.over.addEventListener("click", (event) => {
      const index = made.cursor.idx;
      if (index != null && Math.abs(event.clientX - pressedAt) < LEAST_DRAG_PX) latest.current.onPick?.(index);
    });
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: Math.max(element.clientWidth, 200), height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current = null;
      made.destroy();
    };
  }, [kind, shape, colours, utc]);
  useEffect(() => plot.current?.setData(data), [data]);
  const slot = hovered === null ? undefined : slots[hovered];
  return (
    <figure className={styles["chart"]} data-pick={onPick !== undefined}>
      <figcaption className={styles["legend"]}>
        <strong>{label}</strong>
        {lines.map((line, index) => (
          <span key={line.label} className={styles["line"]}>
            <span className={styles["swatch"]} data-dash={line.dash !== undefined} style={{ color: colours[index + 2] }} aria-hidden="true" />
            {line.label}
            {slot !== undefined && <b>{valueText(line.values[hovered ?? 0] ?? null, format)}</b>}
          </span>
        ))}
        {slot !== undefined && <span className="quiet">{spoken(slot.startMs, utc)}</span>}
      </figcaption>
      <div ref={box} className={styles["plot"]} role="img" aria-label={`${label} over time`} data-testid="chart" />
    </figure>
  );
}

const AXIS_FONT = "11px system-ui, sans-serif";
const BARS = uPlot.paths.bars?.({ size: [0.78, 28] }) ?? (() => null);

function edge(slots: Props["slots"], which: "startMs" | "endMs"): number {
  return ((which === "startMs" ? slots[0] : slots.at(-1))?.[which] ?? 0) / 1000;
}

const valueText = (value: number | null, format: (value: number) => string) => (value === null ? "–" : format(value));

/** A label of the time axis: the day where one begins or where steps are days, the time otherwise. */
function moment(seconds: number, step: number, utc: boolean): string {
  const date = new Date(seconds * 1000);
  const zone = utc ? ({ timeZone: "UTC" } as const) : {};
  const time = date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hour12: false, ...zone });
  return step >= DAY_S || time === "00:00" ? date.toLocaleDateString(undefined, { day: "numeric", month: "short", ...zone }) : time;
}

function spoken(ms: number, utc: boolean): string {
  const zone = utc ? ({ timeZone: "UTC", timeZoneName: "short" } as const) : {};
  return new Date(ms).toLocaleString(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false, ...zone });
}
