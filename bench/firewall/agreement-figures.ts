// Whether the policy's meaning, the simulator and a kernel say the same of random packets, as figures.
import type { BenchOptions } from '../bench-options.ts';
import { type Figure, figure, type FigureSpec, unmeasured } from '../machine.ts';
import { measureAgreement, type MeasuredAgreement } from './agreement.ts';

const CELLS = 1_000_000;
/** Of a disagreement's text: it holds the whole policy. */
const MAX_TEXT = 400;
const spec: FigureSpec = {
  id: 'disagreements',
  unit: 'cells',
  goal: {
    relation: 'exactly',
    value: 0,
    text: 'simulator, kernel probe and explanation agree on 1,000,000 random cells',
  },
};

export async function measureAgreements({ quick, progress }: BenchOptions): Promise<readonly Figure[]> {
  progress('random cells and real packets');
  const [cells, realPackets] = quick ? [60_000, 1_000] : [CELLS, 10_000];
  return agreementFigures(await measureAgreement({ cells, realPackets }), quick);
}

/** `quick`: fewer cells than the goal asks for are allowed, and then there is no goal. */
export function agreementFigures(seen: MeasuredAgreement, quick: boolean): Figure[] {
  const { cells, policies, answers, realPackets, unseenPackets, disagreements } = seen;
  const first = disagreements.slice(0, 3).map((text) => text.slice(0, MAX_TEXT));
  const against = { cells, policies, answers, realPackets, unseenPackets, first };
  // A quick run has fewer cells and promises nothing of the others.
  const told = quick ? { id: spec.id, unit: spec.unit } : spec;
  if (disagreements.length > 0) return [figure(spec, disagreements.length, against)];
  if (!quick && cells < CELLS) return [unmeasured(told, `${cells} cells`, against)];
  const accepted = (answers.accept ?? 0) / cells;
  if (!(accepted > 0.05 && accepted < 0.95)) return [unmeasured(told, 'nearly all answers are the same', against)];
  if (realPackets === 0) return [unmeasured(told, 'no real packet was judged', against)];
  return [figure(told, 0, against)];
}
