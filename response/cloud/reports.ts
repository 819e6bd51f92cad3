// What edges say of their island mode and of the addresses they block by themselves, read from the log: each device's word
// about itself alone, so that a device that lies misleads nobody but the reader of its own row.
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Task } from '../../runtime/tasks.ts';
import type { Database } from '../../store/database.ts';
import { maxReportedBlocks, reportBatch, reportIdleMs } from '../limits.ts';
import type { ResponseTables } from './migrations.ts';
import type { SitePorts } from './sites.ts';
import * as sites from './site-queries.ts';

/** One stored record, as the log gives it. */
export interface ReportedRecord {
  readonly index: number;
  readonly deviceId: string;
  readonly event: {
    readonly kind: string;
    readonly activity: string;
    /** The writer's clock, milliseconds since the epoch. */
    readonly time: number;
    readonly data: Readonly<Record<string, unknown>>;
  };
}

export interface ReportPorts {
  readonly db: Database;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Up to `limit` records of devices from log index `from` on; `next` is where to go on. */
  readonly read: (from: number, limit: number) => Promise<{ records: readonly ReportedRecord[]; next: number }>;
  readonly plainAddress: SitePorts['plainAddress'];
  readonly bounds: SitePorts['bounds'];
}

export interface Reports {
  readonly task: Task;
  /** Tells the loop that records were stored. */
  wake(): void;
}

const causes: ReadonlySet<string> = new Set(['none', 'ordered', 'local', 'ordered local']);

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

export function createReports(ports: ReportPorts): Reports {
  const { db, trustDomain, clock, log } = ports;
  let woken = new AbortController();

  /** Rows and cursor in one transaction: each record counts once. Returns whether there may be more. */
  async function takeBatch(): Promise<boolean> {
    const from = await sites.readCursor(db.withTables<ResponseTables>(), trustDomain);
    const { records, next } = await ports.read(from, reportBatch);
    if (next === from) return false;
    await db.transaction<ResponseTables, void>(async (trx) => {
      if ((await sites.readCursor(trx, trustDomain)) !== from) return;
      for (const record of records) await take(trx, record);
      await sites.saveCursor(trx, trustDomain, next);
    });
    return next - from >= reportBatch;
  }

  async function take(trx: Parameters<typeof sites.saveCursor>[0], { deviceId, event }: ReportedRecord): Promise<void> {
    const { kind, activity, data } = event;
    if (kind === 'order' && activity.startsWith('island-')) return await takeIsland(trx, deviceId, event);
    if (kind !== 'firewall' || (activity !== 'block' && activity !== 'unblock')) return;
    const address = addressOf(data['source_ip']);
    if (address === undefined) return;
    if (activity === 'unblock') {
      await sites.deleteBlocks(trx, trustDomain, { address, deviceIds: [deviceId], source: 'learned' });
      return;
    }
    const until = Math.min(Number(data['until_ms']), clock.now() + ports.bounds.blockMs);
    if (!Number.isSafeInteger(until)) return;
    await sites.deleteExpiredBlocks(trx, trustDomain, clock.now());
    if ((await sites.countBlocks(trx, trustDomain, 'learned', deviceId)) >= maxReportedBlocks) return;
    const row = { trust_domain: trustDomain, device_id: deviceId, address, order_sequence: 0, cause: '', by: '' };
    await sites.saveBlock(trx, { ...row, rule: textOf(data['rule']).slice(0, 128), since: event.time, until });
  }

  async function takeIsland(
    trx: Parameters<typeof sites.saveCursor>[0],
    deviceId: string,
    { data, time }: ReportedRecord['event'],
  ): Promise<void> {
    const state = textOf(data['state']);
    if (!causes.has(state)) return;
    const row = await sites.readIsland(trx, trustDomain, deviceId);
    const reported = state === 'none' ? '' : state;
    // The lease of the policy ended it: there is nothing left that an order would have to take back.
    const over = data['source'] === 'lease' && !state.includes('ordered') && row.ordered_at <= time;
    const ordered = over ? { order_sequence: 0, cause: '', by: '' } : {};
    await sites.saveIsland(trx, { ...row, ...ordered, reported, reported_at: time });
  }

  function addressOf(value: unknown): string | undefined {
    try {
      return ports.plainAddress(textOf(value));
    } catch {
      return undefined;
    }
  }

  return {
    wake: () => woken.abort(),
    task: async (signal) => {
      while (!signal.aborted) {
        woken = new AbortController();
        const more = await takeBatch().catch((error: unknown) => {
          log.error({ err: error }, 'reports of edges could not be read and will be tried again');
          return false;
        });
        if (!more) await clock.sleep(reportIdleMs, AbortSignal.any([signal, woken.signal])).catch(() => undefined);
      }
    },
  };
}
