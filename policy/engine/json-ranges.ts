// Numbers inside a JSON payload, found by JSON pointers (RFC 6901), and the ranges they have to lie in. What is missing
// or no finite number may be anything to whom it reaches.

/** `outside`: some number surely is. */
export type RangeAnswer = 'inside' | 'outside' | 'unknown';

export type JsonRanges = Readonly<Record<string, readonly [number, number]>>;

/** Inclusive ranges by pointer. The payload as parsed; undefined when it is no JSON. */
export function compileJsonRanges(ranges: JsonRanges): (payload: unknown) => RangeAnswer {
  const compiled = Object.entries(ranges).map(([pointer, [low, high]]) => ({ path: pathOf(pointer), low, high }));
  return (payload) => {
    let answer: RangeAnswer = 'inside';
    for (const { path, low, high } of compiled) {
      const value = valueAt(payload, path);
      if (typeof value !== 'number' || !Number.isFinite(value)) answer = 'unknown';
      else if (value < low || value > high) return 'outside';
    }
    return answer;
  };
}

/** RFC 6901, section 4: `~1` before `~0`. */
function pathOf(pointer: string): readonly string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function valueAt(document: unknown, path: readonly string[]): unknown {
  let value = document;
  for (const token of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    if (Array.isArray(value) && !/^(0|[1-9]\d*)$/.test(token)) return undefined;
    value = Object.hasOwn(value, token) ? (value as Record<string, unknown>)[token] : undefined;
  }
  return value;
}
