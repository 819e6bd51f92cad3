// A bench of several parts, measured one after the other.
import type { BenchOptions } from './bench-options.ts';
import type { Figure } from './machine.ts';

export type Part = (options: BenchOptions) => Promise<readonly Figure[]> | readonly Figure[];

/** In their order; a part that fails leaves one figure without a value, and the others are measured all the same. */
export async function measureParts(
  parts: Readonly<Record<string, Part>>,
  options: BenchOptions,
): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const [name, part] of Object.entries(parts)) figures.push(...(await attempt(name, part, options)));
  return figures;
}

/** The figures of a part; one that says why there are none where it fails or has nothing to say. */
export async function attempt(name: string, part: Part, options: BenchOptions): Promise<readonly Figure[]> {
  const without = (reason: string): Figure[] => [
    { id: `${name}Figures`, value: null, unit: '', goal: 'every figure of this part', met: false, against: {}, reason },
  ];
  try {
    const figures = await part(options);
    return figures.length === 0 ? without('the part has no figures') : figures;
  } catch (error) {
    return without(error instanceof Error ? error.message : String(error));
  }
}
