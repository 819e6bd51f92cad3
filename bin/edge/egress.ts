// Egress of this edge (`egress` in edge.yaml): a port on loopback for each interface of another device that a client of this
// host is to reach under this host's identity.
import type { EmitEvent } from '../../audit/spool/index.ts';
import { createEgress, type Egress, type Endpoint, type TerminationParts } from '../../enforcer/proxy/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { EdgeConfig } from './config.ts';

export interface EgressParts {
  readonly config: Pick<EdgeConfig, 'egress'>;
  readonly slice: () => Slice | undefined;
  readonly identity: TerminationParts;
  readonly emit: EmitEvent;
  readonly log: Logger;
}

export const createEgresses = ({ config, slice, ...common }: EgressParts): readonly Egress[] =>
  config.egress.map(({ interface: name, device, listen }) =>
    createEgress({
      ...common,
      port: listen,
      interface: name,
      device,
      target: () => targetsOf(slice(), name, device),
      clock: systemClock,
    }),
  );

/** Where the peer's own proxy ends TLS. */
const terminated: ReadonlySet<string> = new Set(['modbus', 'mqtt', 'http']);

function targetsOf(slice: Slice | undefined, name: string, device: string): readonly Endpoint[] {
  const service = slice?.interfaces.find((entry) => entry.name === name && entry.device === device);
  if (slice === undefined || service === undefined || device === slice.device) return [];
  if (service.transport !== 'tcp' || !terminated.has(service.protocol)) return [];
  const known = slice.devices.find(({ id }) => id === device);
  return (known?.interfaces ?? []).map(({ address }) => ({ address, port: service.port }));
}
