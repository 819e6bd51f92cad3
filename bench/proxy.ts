// npm run bench -- proxy: what the protocol proxies cost and what they hold, as deployed: a whole edge with its rules in a
// network namespace, TPROXY, the engine over thousands of grants, events to a spool. Needs root, nft and ip.
import type { BenchOptions } from './bench-options.ts';
import type { Figure } from './machine.ts';
import { measureParts, type Part } from './parts.ts';
import { measureBulk } from './proxy/bulk.ts';
import { measureConnections } from './proxy/connections.ts';
import { measureLatency } from './proxy/latency.ts';
import { measureMqtt } from './proxy/mqtt.ts';
import { measureMutations } from './proxy/mutations.ts';
import { measurePolling } from './proxy/polling.ts';
import { measureReloads } from './proxy/reload.ts';
import { type BenchWorld, withWorld } from './proxy/world.ts';

type WorldPart = (world: BenchWorld, options: BenchOptions) => Promise<readonly Figure[]>;

/** On an edge of its own. */
const inWorld =
  (part: WorldPart): Part =>
  (options) =>
    withWorld((world) => part(world, options));

const parts: Readonly<Record<string, Part>> = {
  latency: inWorld(measureLatency),
  mqtt: inWorld(measureMqtt),
  bulk: inWorld(measureBulk),
  connections: inWorld(measureConnections),
  mutations: inWorld(measureMutations),
  polling: inWorld(measurePolling),
  reload: inWorld(measureReloads),
};

export const measureProxy = (options: BenchOptions): Promise<readonly Figure[]> => measureParts(parts, options);
