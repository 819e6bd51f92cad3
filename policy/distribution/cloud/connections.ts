// The streams that are open on this replica, by device. An edge has one stream per resource type; a newer one wins.
import type { ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { distributionErrors } from '../errors.ts';
import type { Session } from './session.ts';
import type { ConnectedDevice } from './types.ts';

export interface Connections {
  readonly size: number;
  /** Adds a stream and ends those of the same device that carry one of its types. */
  add(session: Session): void;
  remove(session: Session): void;
  of(deviceId: string): readonly Session[];
  all(): Iterable<Session>;
  list(): ConnectedDevice[];
}

export function createConnections(): Connections {
  const byDevice = new Map<string, Set<Session>>();
  let size = 0;
  const remove = (session: Session): void => {
    const sessions = byDevice.get(session.deviceId);
    if (sessions?.delete(session) !== true) return;
    size -= 1;
    if (sessions.size === 0) byDevice.delete(session.deviceId);
  };
  return {
    get size() {
      return size;
    },
    add(session) {
      for (const other of byDevice.get(session.deviceId) ?? []) {
        if (other.types.isDisjointFrom(session.types)) continue;
        remove(other);
        other.end(distributionErrors.error('STREAM_REPLACED', `${session.deviceId} opened this stream anew`));
      }
      const sessions = byDevice.get(session.deviceId) ?? new Set();
      sessions.add(session);
      byDevice.set(session.deviceId, sessions);
      size += 1;
    },
    remove,
    of: (deviceId) => [...(byDevice.get(deviceId) ?? [])],
    *all() {
      for (const sessions of byDevice.values()) yield* sessions;
    },
    list: () => [...byDevice].map(([deviceId, sessions]) => describe(deviceId, [...sessions])),
  };
}

function describe(deviceId: string, sessions: readonly Session[]): ConnectedDevice {
  const newest = sessions.at(-1);
  const types: ResourceType[] = sessions.flatMap((session) => [...session.types]).toSorted((a, b) => a - b);
  return {
    deviceId,
    serialHex: newest?.device.serialHex ?? '',
    agentVersion: newest?.agentVersion ?? '',
    since: Math.min(...sessions.map(({ since }) => since)),
    lastSeen: Math.max(...sessions.map(({ lastSeen }) => lastSeen)),
    types,
  };
}
