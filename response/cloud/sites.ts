// Orders for many devices at once: island mode of a site, and blocked addresses. A site is the devices of the inventory
// with the same label `site` at the time of the order, which names each of them (docs/decisions/0017). Like every order:
// numbered, signed, and one transaction with what the control plane remembers of it.
import type { Kysely } from 'kysely';
import { OrderVerb } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Database } from '../../store/database.ts';
import { responseErrors } from '../errors.ts';
import type { EmitResponseEvent } from './devices.ts';
import type { ResponseTables } from './migrations.ts';
import { type OrderContent, type OrderPorts, writeOrder } from './orders.ts';
import * as queries from './queries.ts';
import * as sites from './site-queries.ts';

export type { BlockRow } from './site-queries.ts';

/** Which devices: exactly one of the three says something. */
export interface Target {
  readonly deviceIds: readonly string[];
  readonly site: string;
  /** Of the whole trust domain; for blocks and pardons alone. */
  readonly fleet: boolean;
}

export interface SitePorts extends OrderPorts {
  readonly db: Database;
  readonly clock: Clock;
  readonly emit: EmitResponseEvent;
  /** Told after the commit. */
  readonly changed: (what: 'orders') => void;
  /** Devices of the current inventory with their labels. */
  readonly inventory: () => Promise<
    readonly { readonly id: string; readonly labels: Readonly<Record<string, string>> }[]
  >;
  /** The one spelling of an address; throws for what is none. */
  readonly plainAddress: (text: string) => string;
  /** What edges take of one order, and of all blocks at once (enforcer/activation). */
  readonly bounds: { readonly devices: number; readonly blockMs: number; readonly blocks: number };
}

interface Ordered {
  /** Of the last order; 0 when there was nothing to order. */
  readonly orderSequence: number;
  readonly deviceIds: readonly string[];
}

export type Sites = ReturnType<typeof createSites>;

export function createSites(ports: SitePorts) {
  const { db, trustDomain, clock, bounds } = ports;
  const tables = db.withTables<ResponseTables>();

  /** Cuts all but safety from and to the devices; those that are ordered to be in island mode already stay as they are. */
  async function island(request: { target: Target; reason: string; by: string }): Promise<Ordered> {
    const wanted = await devicesOf(request.target);
    return await orderEach(request, OrderVerb.ISLAND, async (trx) => {
      const rows = await Promise.all(wanted.map((id) => sites.readIsland(trx, trustDomain, id)));
      return rows.filter((row) => row.order_sequence === 0);
    });
  }

  /** Ends island mode, ordered or entered on the device before now. */
  async function rejoin(request: { target: Target; reason: string; by: string }): Promise<Ordered> {
    const wanted = await devicesOf(request.target);
    return await orderEach(request, OrderVerb.REJOIN, async (trx) => {
      const rows = await Promise.all(wanted.map((id) => sites.readIsland(trx, trustDomain, id)));
      return rows.filter((row) => row.order_sequence !== 0 || row.reported !== '');
    });
  }

  async function orderEach(
    { reason, by }: { reason: string; by: string },
    verb: OrderVerb,
    choose: (trx: Kysely<ResponseTables>) => Promise<sites.IslandRow[]>,
  ): Promise<Ordered> {
    const at = clock.now();
    const done = await db.transaction<ResponseTables, Ordered>(async (trx) => {
      const counters = await queries.lockCounters(trx, db.dialect, trustDomain);
      const rows = await choose(trx);
      let sequence = counters.orderSequence;
      for (let first = 0; first < rows.length; first += bounds.devices) {
        const part = rows.slice(first, first + bounds.devices);
        const deviceIds = part.map((row) => row.device_id).toSorted();
        sequence += 1;
        await writeOrder(trx, ports, { verb, reason, by, fields: { deviceIds } }, sequence, at);
        for (const row of part) await remember(trx, row, { verb, reason, by, sequence, at });
      }
      await queries.saveCounters(trx, trustDomain, { ...counters, orderSequence: sequence });
      return {
        orderSequence: rows.length === 0 ? 0 : sequence,
        deviceIds: rows.map((row) => row.device_id).toSorted(),
      };
    });
    if (done.orderSequence === 0) return done;
    ports.changed('orders');
    await tell(verb === OrderVerb.ISLAND ? 'island' : 'rejoin', 'high', {
      sequence: done.orderSequence,
      count: done.deviceIds.length,
      message: `${reason}: ${done.deviceIds.join(' ')}`.slice(0, 1_024),
      by,
    });
    return done;
  }

  async function remember(
    trx: Kysely<ResponseTables>,
    row: sites.IslandRow,
    { verb, reason, by, sequence, at }: { verb: OrderVerb; reason: string; by: string; sequence: number; at: number },
  ): Promise<void> {
    const isIsland = verb === OrderVerb.ISLAND;
    const ordered = isIsland
      ? { order_sequence: sequence, ordered_at: at, cause: reason, by }
      : { order_sequence: 0, ordered_at: at, cause: '', by: '' };
    await sites.saveIsland(trx, { ...row, ...ordered });
    const state = (await queries.readDevice(trx, trustDomain, row.device_id))?.state ?? 'expected';
    await queries.addTransition(trx, trustDomain, {
      deviceId: row.device_id,
      at,
      from: isIsland ? state : `${state} (island)`,
      to: isIsland ? `${state} (island)` : state,
      cause: reason,
      by,
    });
  }

  /** Blocks an address, or confirms a block for longer, on devices, a site or the fleet. */
  async function block(request: {
    address: string;
    target: Target;
    ttlSeconds: number;
    reason: string;
    by: string;
  }): Promise<{ orderSequence: number; until: number }> {
    const { reason, by, ttlSeconds, target } = request;
    const address = addressOf(request.address);
    if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds * 1_000 > bounds.blockMs) {
      throw responseErrors.error('RESPONSE_BLOCK_INVALID', `${ttlSeconds} seconds`);
    }
    const at = clock.now();
    const until = at + ttlSeconds * 1_000;
    const scope = await scopeOf(target);
    const content = { verb: OrderVerb.BLOCK, reason, by, fields: { address, untilMs: BigInt(until), ...scope.fields } };
    const orderSequence = await orderOne(content, scope, at, async (trx, sequence) => {
      await sites.deleteExpiredBlocks(trx, trustDomain, at);
      await sites.deleteBlocks(trx, trustDomain, { address, deviceIds: scope.rows, source: 'ordered' });
      if ((await sites.countBlocks(trx, trustDomain, 'ordered')) + scope.rows.length > bounds.blocks) {
        throw responseErrors.error('RESPONSE_BLOCKS_FULL', `orders block ${bounds.blocks} addresses at most`);
      }
      for (const deviceId of scope.rows) {
        const row = { trust_domain: trustDomain, device_id: deviceId, address, order_sequence: sequence, rule: '' };
        await sites.saveBlock(trx, { ...row, since: at, until, cause: reason, by });
      }
    });
    await tell('block', 'high', { address, sequence: orderSequence, message: `${reason}: ${scope.words}`, by });
    return { orderSequence, until };
  }

  /** Ends blocks of an address, ordered or learned. */
  async function pardon(request: { address: string; target: Target; reason: string; by: string }) {
    const { reason, by, target } = request;
    const address = addressOf(request.address);
    const scope = await scopeOf(target);
    const content = { verb: OrderVerb.PARDON, reason, by, fields: { address, ...scope.fields } };
    const orderSequence = await orderOne(content, scope, clock.now(), async (trx) => {
      const some = target.fleet ? {} : { deviceIds: scope.rows };
      await sites.deleteBlocks(trx, trustDomain, { address, ...some });
    });
    await tell('pardon', 'high', { address, sequence: orderSequence, message: `${reason}: ${scope.words}`, by });
    return { orderSequence };
  }

  /** One order, and more with the same content for more devices than fit one. */
  async function orderOne(
    content: OrderContent,
    { rows }: Scope,
    at: number,
    then: (trx: Kysely<ResponseTables>, sequence: number) => Promise<void>,
  ): Promise<number> {
    const sequence = await db.transaction<ResponseTables, number>(async (trx) => {
      const counters = await queries.lockCounters(trx, db.dialect, trustDomain);
      let last = counters.orderSequence;
      for (let first = 0; first < rows.length; first += bounds.devices) {
        last += 1;
        const some =
          content.fields.everyDevice === true ? {} : { deviceIds: rows.slice(first, first + bounds.devices) };
        await writeOrder(trx, ports, { ...content, fields: { ...content.fields, ...some } }, last, at);
      }
      await then(trx, last);
      await queries.saveCounters(trx, trustDomain, { ...counters, orderSequence: last });
      return last;
    });
    ports.changed('orders');
    return sequence;
  }

  function addressOf(text: string): string {
    try {
      return ports.plainAddress(text);
    } catch (cause) {
      throw responseErrors.error('RESPONSE_BLOCK_INVALID', `${JSON.stringify(text)} is not an address`, { cause });
    }
  }

  async function scopeOf(target: Target): Promise<Scope> {
    if (target.fleet) {
      if (target.site !== '' || target.deviceIds.length > 0) throw targetInvalid();
      return { rows: [''], fields: { everyDevice: true }, words: 'the fleet' };
    }
    const rows = await devicesOf(target);
    return { rows, fields: { deviceIds: rows }, words: target.site === '' ? rows.join(' ') : `site ${target.site}` };
  }

  /** Sorted, each once, all of the inventory. */
  async function devicesOf({ deviceIds, site, fleet }: Target): Promise<string[]> {
    if (fleet || (site === '') === (deviceIds.length === 0)) throw targetInvalid();
    const inventory = await ports.inventory();
    if (site !== '') {
      const found = inventory.filter(({ labels }) => labels['site'] === site).map(({ id }) => id);
      if (found.length > 0) return found.toSorted();
      throw responseErrors.error('RESPONSE_SITE_UNKNOWN', `no device of the inventory has the label site=${site}`);
    }
    const known = new Set(inventory.map(({ id }) => id));
    const unknown = deviceIds.find((id) => !known.has(id));
    if (unknown === undefined) return [...new Set(deviceIds)].toSorted();
    throw responseErrors.error(
      'RESPONSE_DEVICE_UNKNOWN',
      `no device ${JSON.stringify(unknown)} in the inventory of ${trustDomain}`,
    );
  }

  async function tell(activity: string, severity: 'high', data: Record<string, string | number>): Promise<void> {
    await ports.emit({ kind: 'order', activity, severity, data });
  }

  return {
    island,
    rejoin,
    block,
    pardon,
    islands: async () => await sites.listIslands(tables, trustDomain),
    blocks: async () => await sites.listBlocks(tables, trustDomain, clock.now()),
  };
}

interface Scope {
  /** Device ids as rows have them; one empty for the fleet. */
  readonly rows: readonly string[];
  readonly fields: { readonly everyDevice?: true; readonly deviceIds?: string[] };
  readonly words: string;
}

const targetInvalid = (): Error =>
  responseErrors.error('RESPONSE_TARGET_INVALID', 'the order names no devices, or names them in two ways');
