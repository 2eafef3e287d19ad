/** A browser may forbid storage; then a choice lasts as long as the page. */
export function stored<T>(use: () => T): T | undefined {
  try {
    return use();
  } catch {
    return undefined;
  }
}
