// The named sets of a plan. A set that only a new plan changes is named by a hash of its content, so that equal
// selectors share one; the containment sets keep their names, because orders change them between two plans.
import { createHash } from 'node:crypto';
import { firewallErrors } from './errors.ts';
import { MAX_ELEMENT_COMMENT, MAX_SET_ELEMENTS } from './limits.ts';
import type { KeyType, SetDefinition, SetElement } from './plan.ts';

/** An element before merging: the same key may be wanted by several grants. */
export interface Wanted {
  readonly key: readonly string[];
  /** Id of what wants it. */
  readonly reason?: string;
  readonly until?: number;
}

export class SetRegistry {
  readonly #sets = new Map<string, SetDefinition>();

  /** Name of the set with exactly these elements, or undefined when there are none: a rule over it could never match. */
  shared(
    purpose: string,
    type: readonly KeyType[],
    wanted: readonly Wanted[],
    interval: boolean = false,
  ): string | undefined {
    if (wanted.length === 0) return undefined;
    const elements = merged(wanted);
    const content = [type.join('.'), interval, ...elements.map((element) => [element.key.join(' . '), element.until])];
    const name = `s_${createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 12)}`;
    const known = this.#sets.get(name);
    const purposes = new Set([...(known?.purpose.split(', ') ?? []), purpose]);
    this.#add({ name, type: [...type], interval, dynamic: false, purpose: [...purposes].join(', '), elements });
    return name;
  }

  /** A set with a fixed name; exists also while it is empty. */
  dynamic(name: string, type: KeyType, keys: readonly string[]): string {
    this.#add({
      name,
      type: [type],
      interval: false,
      dynamic: true,
      purpose: 'changed by orders',
      elements: merged(keys.map((key) => ({ key: [key] }))),
    });
    return name;
  }

  definitions(): SetDefinition[] {
    return [...this.#sets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #add(set: SetDefinition): void {
    if (set.elements.length > MAX_SET_ELEMENTS) {
      throw firewallErrors.error(
        'FIREWALL_TOO_LARGE',
        `a set of ${set.elements.length} elements; at most ${MAX_SET_ELEMENTS} fit`,
      );
    }
    this.#sets.set(set.name, set);
  }
}

/** One element per key, in order of the keys; it stays as long as any of those that want it. */
function merged(wanted: readonly Wanted[]): SetElement[] {
  const byKey = new Map<string, { key: string[]; reasons: Set<string>; until: number | undefined }>();
  for (const { key, reason, until } of wanted) {
    const text = key.join(' . ');
    const known = byKey.get(text);
    if (known === undefined) {
      byKey.set(text, { key: [...key], reasons: new Set(reason === undefined ? [] : [reason]), until });
      continue;
    }
    if (reason !== undefined) known.reasons.add(reason);
    known.until = known.until === undefined || until === undefined ? undefined : Math.max(known.until, until);
  }
  return [...byKey.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { key, reasons, until }]) => {
      const comment = [...reasons].sort().join(', ').slice(0, MAX_ELEMENT_COMMENT);
      return { key, ...(comment === '' ? {} : { comment }), ...(until === undefined ? {} : { until }) };
    });
}
