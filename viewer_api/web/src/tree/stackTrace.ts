/** A line of a stack trace: where it was, what stood there, or what went wrong. */
export interface TraceLine {
  readonly text: string;
  readonly kind: "frame" | "code" | "failure";
}

const NAME = /stack_?trace|traceback/i;
const FRAME = /^\s*(File "|at |\^|from |goroutine |---)|^\s+\S+:\d+/;

export const isTraceName = (name: string): boolean => NAME.test(name);

/** The lines of a stack trace, also of one whose line ends were escaped once too often. */
export function linesOfTrace(text: string): TraceLine[] {
  const whole = text.includes("\n") ? text : text.replace(/\\r\\n|\\n/g, "\n").replaceAll("\\t", "\t");
  return whole
    .replace(/\r/g, "")
    .trimEnd()
    .split("\n")
    .map((line) => ({ text: line, kind: FRAME.test(line) ? "frame" : /^\S/.test(line) && !line.startsWith("Traceback") ? "failure" : "code" }));
}
