// Learns what is asked of the interfaces of this edge while they are observed: the first policy of a running plant is written
// from what its machines really do.
import type { ConnectionInfo, JudgedOperation } from '../protocol.ts';
import type { StoredLearning } from './stored.ts';
import { createLearnedInterface, type LearnedInterface } from './learned-interface.ts';

export interface Learner {
  /** Counts what went through, whether a grant opened it or observing did. */
  readonly saw: (connection: ConnectionInfo, judged: JudgedOperation) => void;
  readonly learned: () => readonly LearnedInterface[];
  /** Milliseconds since the epoch at which learning began, for the interfaces that are kept. */
  readonly since: () => number;
  /** Begins anew, for one interface or for all. */
  readonly forget: (interfaceName?: string) => void;
}

/** `learns`: whether an interface is being learned now. Interfaces are those of the configuration: few. */
export function createLearner(
  learns: (interfaceName: string) => boolean,
  now: () => number,
  before?: StoredLearning,
): Learner {
  const interfaces = new Map(before?.interfaces.map((entry) => [entry.name, entry]));
  let began = before?.since ?? now();
  return {
    saw(connection, { operation, decision }) {
      if (!decision.allow || connection.interface === '' || !learns(connection.interface)) return;
      const known = interfaces.get(connection.interface) ?? createLearnedInterface(connection.interface);
      interfaces.set(connection.interface, known);
      known.add(connection, operation);
    },
    learned: () => [...interfaces.values()],
    since: () => began,
    forget(interfaceName) {
      if (interfaceName === undefined) interfaces.clear();
      else interfaces.delete(interfaceName);
      if (interfaces.size === 0) began = now();
    },
  };
}
