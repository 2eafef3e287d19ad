/** Order of texts by code point, which is also the order of their UTF-8 bytes. (`<` orders by UTF-16 unit.) */
export function compareText(one: string, other: string): number {
  const shared = Math.min(one.length, other.length);
  for (let i = 0; i < shared; i++) {
    const a = one.charCodeAt(i);
    const b = other.charCodeAt(i);
    if (a !== b) return isSurrogate(a) === isSurrogate(b) ? a - b : (isSurrogate(a) ? 0x10000 : a) - (isSurrogate(b) ? 0x10000 : b);
  }
  return one.length - other.length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}
