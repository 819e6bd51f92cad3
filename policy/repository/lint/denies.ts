// Denies with conditions: where doubt would stop a safety operation, the author says what to assume.
import type { SliceOperation } from '../../bundle/slice.ts';
import { devicePlaceholder } from '../../engine/mqtt-topic.ts';
import { matches, sampleOf } from '../operation-match.ts';
import type { Problems } from '../problems.ts';
import type { Deny, Interface, Repository } from '../repository.ts';
import { attributesRead } from '../resolve-conditions.ts';

export function lintAssumptions(repository: Repository, problems: Problems): void {
  const interfaces = new Map(repository.interfaces.map((entry) => [entry.name, entry]));
  for (const deny of repository.denies) {
    const found = interfaces.get(deny.interface);
    const reached = found === undefined ? undefined : reachedSafety(deny, found);
    if (deny.conditions === undefined || reached === undefined) continue;
    const assumed = new Set((deny.conditions.assume ?? []).map(({ source, name }) => `${source}.${name}`));
    for (const path of new Set(attributesRead(deny.conditions))) {
      if (assumed.has(path)) continue;
      const message = `${deny.id} reaches the safety operation ${reached} and reads ${path}, but assumes nothing for it`;
      problems.add('POLICY_DENY_ASSUME', deny.at('conditions'), message);
    }
  }
}

/** Name of a safety operation that the deny reaches: named, meant by all, or inside one that is named. */
function reachedSafety(deny: Deny, found: Interface): string | undefined {
  const denied = found.operations.filter(({ name }) => deny.operations.includes(name));
  const reaches = (operation: SliceOperation): boolean => {
    if (deny.operations.length === 0 || deny.operations.includes(operation.name)) return true;
    const sample = sampleOf(operation, devicePlaceholder);
    return sample !== undefined && denied.some((other) => matches(other, sample, devicePlaceholder));
  };
  return found.operations.find((operation) => operation.class === 'safety' && reaches(operation))?.name;
}
