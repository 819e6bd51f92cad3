// Ranges of numbers as they are seen, joined where they touch, and few: above the bound the nearest two become one.

export type Range = readonly [low: number, high: number];

/** `ranges` ascending and apart; so is the answer, which holds all of both. */
export function withRange(ranges: readonly Range[], [low, high]: Range, most: number): readonly Range[] {
  if (ranges.some(([from, to]) => from <= low && high <= to)) return ranges;
  let [from, to] = [low, high];
  const apart: Range[] = [];
  for (const range of ranges) {
    if (range[1] + 1 < from || range[0] > to + 1) apart.push(range);
    else [from, to] = [Math.min(from, range[0]), Math.max(to, range[1])];
  }
  const joined = [...apart, [from, to] as const].sort((a, b) => a[0] - b[0]);
  while (joined.length > most) joinNearest(joined);
  return joined;
}

function joinNearest(ranges: Range[]): void {
  let nearest = 0;
  const gap = (index: number): number => (ranges[index + 1]?.[0] ?? Infinity) - (ranges[index]?.[1] ?? -Infinity);
  for (let index = 1; index < ranges.length - 1; index++) if (gap(index) < gap(nearest)) nearest = index;
  const [first, second] = [ranges[nearest], ranges[nearest + 1]];
  if (first !== undefined && second !== undefined) ranges.splice(nearest, 2, [first[0], second[1]]);
}
