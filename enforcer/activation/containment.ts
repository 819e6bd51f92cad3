// Which devices are contained, and what changed since the enforcement points were last told. Pure.

/** Held away from others; `revoked` stands for decommissioned too. */
export type Containment = 'quarantined' | 'recovering' | 'revoked';

/** Device ids by what they are now; each list sorted, and empty when nothing of the kind changed. */
export interface ContainmentChange {
  readonly quarantined: readonly string[];
  readonly recovering: readonly string[];
  readonly revoked: readonly string[];
  /** Contained before, and not any more. */
  readonly released: readonly string[];
  /** Serials of certificates that are revoked now, lower case hex: their connections have to end. */
  readonly revokedSerials: readonly string[];
}

interface Contained {
  readonly containment: ReadonlyMap<string, Containment>;
  readonly serials: ReadonlySet<string>;
}

/** undefined when nothing changed. */
export function containmentChange(before: Contained, after: Contained): ContainmentChange | undefined {
  const became = (containment: Containment): string[] =>
    [...after.containment]
      .filter(([device, now]) => now === containment && before.containment.get(device) !== now)
      .map(([device]) => device)
      .toSorted();
  const change: ContainmentChange = {
    quarantined: became('quarantined'),
    recovering: became('recovering'),
    revoked: became('revoked'),
    released: [...before.containment.keys()].filter((device) => !after.containment.has(device)).toSorted(),
    revokedSerials: [...after.serials].filter((serial) => !before.serials.has(serial)),
  };
  return Object.values(change).every((list: readonly string[]) => list.length === 0) ? undefined : change;
}
