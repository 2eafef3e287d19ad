import { compareText } from "./text";

/**
 * One text for one JSON value, the same as the Python reducer's: keys in code point order, numbers as `JSON.stringify`
 * writes them. It does not recurse, so depth does not matter.
 */
export function canonical(value: unknown): string {
  const parts: string[] = [];
  const stack: Iterator<string | { readonly value: unknown }>[] = [[{ value }].values()];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const step = top.next();
    if (step.done === true) stack.pop();
    else if (typeof step.value === "string") parts.push(step.value);
    else if (Array.isArray(step.value.value)) stack.push(ofArray(step.value.value));
    else if (isObject(step.value.value)) stack.push(ofObject(step.value.value));
    else parts.push(JSON.stringify(step.value.value) ?? "null");
  }
  return parts.join("");
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function* ofObject(value: Record<string, unknown>): Generator<string | { value: unknown }> {
  yield "{";
  for (const [index, key] of Object.keys(value).sort(compareText).entries()) {
    yield `${index > 0 ? "," : ""}${JSON.stringify(key)}:`;
    yield { value: value[key] };
  }
  yield "}";
}

function* ofArray(value: readonly unknown[]): Generator<string | { value: unknown }> {
  yield "[";
  for (const [index, member] of value.entries()) {
    if (index > 0) yield ",";
    yield { value: member };
  }
  yield "]";
}
