// Whom island mode leaves something: the subjects of grants on this device's interfaces that open a spared operation. Coarse
// on purpose: who is in it is judged request by request, who is not has nothing to ask for.
import type { Slice, SliceOperation } from '../../policy/bundle/index.ts';
import { rowOf } from '../../policy/engine/index.ts';

/** The engine's table in island mode, for a subject in the best state. */
export function isSpared({ class: safetyClass, island }: Pick<SliceOperation, 'class' | 'island'>): boolean {
  const admission = rowOf('trusted', true)[safetyClass];
  return admission === 'yes' || (admission === 'island' && island);
}

export function sparedSubjects(slice: Slice): string[] {
  const spared = new Map(
    slice.interfaces
      .filter(({ device }) => device === slice.device)
      .map((entry) => [entry.name, new Set(entry.operations.filter(isSpared).map(({ name }) => name))]),
  );
  return slice.grants
    .filter(
      (grant) =>
        grant.device === slice.device && grant.operations.some((name) => spared.get(grant.interface)?.has(name)),
    )
    .flatMap(({ subjects }) => subjects);
}
