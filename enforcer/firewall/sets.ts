// The named sets of a plan. A set's name says what it is for and never what it holds, so that the next plan can change
// single elements of it.
import { firewallErrors } from './errors.ts';
import { MAX_ELEMENT_COMMENT, MAX_SET_ELEMENTS } from './limits.ts';
import type { KeyType, SetDefinition, SetElement } from './plan.ts';

/** An element before merging: the same key may be wanted by several grants. */
export interface Wanted {
  readonly key: readonly string[];
  /** Id of what wants it. */
  readonly reason?: string;
  readonly until?: number;
  readonly verdict?: SetElement['verdict'];
  readonly mark?: number;
}

export interface SetOptions {
  readonly interval?: boolean;
  /** Elements may end by themselves; default false. */
  readonly timeout?: boolean;
  readonly data?: 'verdict' | 'mark';
  readonly learned?: SetDefinition['learned'];
}

export class SetRegistry {
  readonly #sets = new Map<string, SetDefinition>();

  /** Adds the set and gives its name; it exists also while it is empty. Throws FIREWALL_TOO_LARGE. */
  add(
    name: string,
    purpose: string,
    type: readonly KeyType[],
    wanted: readonly Wanted[],
    options: SetOptions = {},
  ): string {
    const elements = merged(wanted);
    if (elements.length > MAX_SET_ELEMENTS) {
      throw firewallErrors.error(
        'FIREWALL_TOO_LARGE',
        `set ${name} would have ${elements.length} elements; at most ${MAX_SET_ELEMENTS} fit`,
      );
    }
    const { interval = false, timeout = false, ...rest } = options;
    this.#sets.set(name, { name, type: [...type], interval, timeout, ...rest, purpose, elements });
    return name;
  }

  definitions(): SetDefinition[] {
    return [...this.#sets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

/** One element per key, in order of the keys; it stays as long as any of those that want it. */
function merged(wanted: readonly Wanted[]): SetElement[] {
  const byKey = new Map<string, { wanted: Wanted; reasons: Set<string>; until: number | undefined }>();
  for (const entry of wanted) {
    const text = entry.key.join(' . ');
    const known = byKey.get(text);
    if (known === undefined) {
      const reasons = new Set(entry.reason === undefined ? [] : [entry.reason]);
      byKey.set(text, { wanted: entry, reasons, until: entry.until });
      continue;
    }
    if (entry.reason !== undefined) known.reasons.add(entry.reason);
    known.until =
      known.until === undefined || entry.until === undefined ? undefined : Math.max(known.until, entry.until);
  }
  return [...byKey.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([
        ,
        {
          wanted: { key, verdict, mark },
          reasons,
          until,
        },
      ]) => {
        const comment = [...reasons].sort().join(', ').slice(0, MAX_ELEMENT_COMMENT);
        return {
          key: [...key],
          ...(comment === '' ? {} : { comment }),
          ...(until === undefined ? {} : { until }),
          ...(verdict === undefined ? {} : { verdict }),
          ...(mark === undefined ? {} : { mark }),
        };
      },
    );
}
