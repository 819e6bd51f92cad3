// What is left of a candidate that nobody confirmed: its denies, in the kernel and on the disk.
import type { Memory, Parts } from './memory.ts';
import type { FirewallPlan } from './plan.ts';
import { save } from './saved.ts';
import type { Layer, TableState } from './table.ts';

export function fallen({ candidate, ...rest }: TableState): TableState {
  if (candidate === undefined) return rest;
  const { plan, slot } = candidate;
  return { ...rest, closing: [...withoutSameDenies(rest.closing, plan), { plan, slot }] };
}

/** The same bundle tried again closes nothing that it did not close before. */
export function withoutSameDenies(closing: readonly Layer[], { bundle, denies }: FirewallPlan): readonly Layer[] {
  const text = JSON.stringify(denies);
  return closing.filter(({ plan }) => plan.bundle > bundle || JSON.stringify(plan.denies) !== text);
}

export const saveState = async (parts: Parts, { loaded }: Memory): Promise<void> => {
  if (loaded === undefined) return;
  // An order may be saved while a candidate waits for its proof: its denies are not forgotten.
  const { live, closing } = fallen(loaded.state);
  await save(parts, { live: live.plan, closing: closing.map((layer) => layer.plan) });
};
