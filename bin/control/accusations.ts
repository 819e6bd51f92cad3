// Whose word counts against whom. Every edge writes its own events, so one that was taken over can name any device as the
// subject of an attack. It is heard only about devices it can have met: on one of its networks, or named in its slice;
// and only while it is itself in good standing.
import type { Release } from '../../policy/bundle/index.ts';

export interface AccusationPorts {
  readonly release: () => Release | undefined;
  /** State of a device, undefined when it was never seen. */
  readonly stateOf: (deviceId: string) => Promise<string | undefined>;
  /** Devices that the newest slice of a device names. */
  readonly sliceOf: (deviceId: string) => Promise<ReadonlySet<string>>;
}

/** A suspect or contained device accuses nobody but itself. */
const inGoodStanding: ReadonlySet<string> = new Set(['enrolled', 'trusted', 'stale']);

export function createAccusations(ports: AccusationPorts): (reporter: string, subject: string) => Promise<boolean> {
  let networksOf: {
    readonly release: Release | undefined;
    readonly byDevice: ReadonlyMap<string, ReadonlySet<string>>;
  } = { release: undefined, byDevice: new Map() };

  function meetOnANetwork(reporter: string, subject: string): boolean {
    const release = ports.release();
    if (release !== networksOf.release) networksOf = { release, byDevice: networks(release) };
    const mine = networksOf.byDevice.get(reporter);
    const theirs = networksOf.byDevice.get(subject);
    return mine !== undefined && theirs !== undefined && !mine.isDisjointFrom(theirs);
  }

  return async (reporter, subject) => {
    if (!inGoodStanding.has((await ports.stateOf(reporter)) ?? '')) return false;
    return meetOnANetwork(reporter, subject) || (await ports.sliceOf(reporter)).has(subject);
  };
}

function networks(release: Release | undefined): Map<string, Set<string>> {
  const devices = release?.devices ?? [];
  return new Map(devices.map(({ id, interfaces }) => [id, new Set(interfaces.map(({ network }) => network))]));
}
