// What every benchmark and the soak share: figures, the machine they were seen on, and the one JSON document at the end.
import { cpus, release } from 'node:os';

/** How a value has to stand to its goal. */
export type Relation = 'at most' | 'at least' | 'exactly';

export interface Goal {
  readonly relation: Relation;
  readonly value: number;
}

export interface Figure {
  readonly id: string;
  /** Null when it could not be measured. */
  readonly value: number | null;
  readonly unit: string;
  /** The figure as written; null for a figure that is only told. */
  readonly goal: string | null;
  /** Computed; null where there is no goal, false for a figure with a goal that could not be measured. */
  readonly met: boolean | null;
  /** What was measured beside it in the same run. */
  readonly against: Readonly<Record<string, unknown>>;
  /** Why there is no value, or why a value does not count. */
  readonly reason?: string;
}

export interface FigureSpec {
  readonly id: string;
  readonly unit: string;
  readonly goal?: Goal & { readonly text: string };
}

/** A figure with `met` computed from its value. */
export function figure(spec: FigureSpec, value: number, against: Figure['against'] = {}): Figure {
  const goal = spec.goal ?? null;
  return {
    id: spec.id,
    value,
    unit: spec.unit,
    goal: goal?.text ?? null,
    met: goal === null ? null : holds(goal, value),
    against,
  };
}

/** A figure that could not be measured. */
export function unmeasured(spec: FigureSpec, reason: string, against: Figure['against'] = {}): Figure {
  const goal = spec.goal ?? null;
  return {
    id: spec.id,
    value: null,
    unit: spec.unit,
    goal: goal?.text ?? null,
    met: goal === null ? null : false,
    against,
    reason,
  };
}

/** Figures of a part that stopped early: what was seen is told, and no goal is met by it. */
export const incomplete = (figures: readonly Figure[], reason: string): Figure[] =>
  figures.map((one) => ({ ...one, met: one.goal === null ? null : false, reason: one.reason ?? reason }));

function holds(goal: Goal, value: number): boolean {
  switch (goal.relation) {
    case 'at most':
      return value <= goal.value;
    case 'at least':
      return value >= goal.value;
    case 'exactly':
      return value === goal.value;
  }
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly kernel: string;
}

export function machine(): Machine {
  const all = cpus();
  return { cpu: all[0]?.model.trim() ?? 'unknown', cores: all.length, node: process.version, kernel: release() };
}

export interface BenchDocument {
  readonly bench: string;
  readonly machine: Machine;
  readonly figures: readonly Figure[];
}

export const benchDocument = (bench: string, figures: readonly Figure[]): BenchDocument => ({
  bench,
  machine: machine(),
  figures,
});

/** True when every figure that has a goal meets it. */
export const allMet = ({ figures }: BenchDocument): boolean => figures.every(({ met }) => met !== false);

/** One document, one line, on standard output. Resolves when it has left: a pipe takes it in pieces. */
export async function writeDocument(document: BenchDocument): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(`${JSON.stringify(document)}\n`, (error) => (error == null ? resolve() : reject(error)));
  });
}

/** The value below which `share` (0 to 1) of the values lie, by nearest rank; undefined for none. */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
}

/** Median, 95th percentile and ends of a sample, rounded. */
export function spread(values: readonly number[]): Record<'n' | 'min' | 'p50' | 'p95' | 'max', number | null> {
  const at = (share: number): number | null => {
    const value = percentile(values, share);
    return value === undefined ? null : Math.round(value);
  };
  return { n: values.length, min: at(0), p50: at(0.5), p95: at(0.95), max: at(1) };
}
