// Every device of a change is contained, whatever happens to the others: a kernel that refuses one of them must not leave
// the rest as they were, nor has one to wait until the flows of another have ended. Connections that we carry ourselves
// need no kernel, and end first.
import type { ContainmentChange } from '../../enforcer/activation/index.ts';

export interface Containing {
  /** `streams`: how many of the device were closed beforehand. */
  readonly contain: (
    device: string,
    containment: 'revoked' | 'quarantined' | undefined,
    streams: number,
  ) => Promise<unknown>;
  /** Says how many it closed. */
  readonly closeStreams: (device: string) => number;
}

/** Rejects with the first failure, after everything was tried. */
export async function containAll(change: ContainmentChange, { contain, closeStreams }: Containing): Promise<void> {
  const wanted = [
    ...change.revoked.map((device) => ({ device, containment: 'revoked' as const })),
    ...[...change.quarantined, ...change.recovering].map((device) => ({ device, containment: 'quarantined' as const })),
    ...change.released.map((device) => ({ device, containment: undefined })),
  ];
  const closed = wanted.map((order) => ({ ...order, streams: closeStreams(order.device) }));
  const outcomes = await Promise.allSettled(
    closed.map(async ({ device, containment, streams }) => {
      try {
        await contain(device, containment, streams);
      } finally {
        // Again: one that was opened before the kernel had cut the device.
        closeStreams(device);
      }
    }),
  );
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
