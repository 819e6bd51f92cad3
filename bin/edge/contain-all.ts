// Every device of a change is contained, whatever happens to the others: a kernel that refuses one of them must not leave
// the rest as they were. Connections that we carry ourselves need no kernel, and end first.
import type { ContainmentChange } from '../../enforcer/activation/index.ts';

export interface Containing {
  readonly contain: (device: string, containment: 'revoked' | 'quarantined' | undefined) => Promise<unknown>;
  readonly closeStreams: (device: string) => void;
}

/** Rejects with the first failure, after everything was tried. */
export async function containAll(change: ContainmentChange, { contain, closeStreams }: Containing): Promise<void> {
  const wanted = [
    ...change.revoked.map((device) => ({ device, containment: 'revoked' as const })),
    ...[...change.quarantined, ...change.recovering].map((device) => ({ device, containment: 'quarantined' as const })),
    ...change.released.map((device) => ({ device, containment: undefined })),
  ];
  const failures: unknown[] = [];
  for (const { device } of wanted) closeStreams(device);
  for (const { device, containment } of wanted) {
    try {
      await contain(device, containment);
    } catch (error) {
      failures.push(error);
    }
    // Again: one that was opened before the kernel had cut the device.
    closeStreams(device);
  }
  if (failures.length > 0) throw failures[0];
}
