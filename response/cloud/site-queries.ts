// What orders for many devices ask of the database.
import type { Kysely } from 'kysely';
import type { ResponseTables } from './migrations.ts';

type Db = Kysely<ResponseTables>;
export type IslandRow = ResponseTables['response_islands'];
export type BlockRow = ResponseTables['response_blocks'];

export async function listIslands(db: Db, trustDomain: string): Promise<IslandRow[]> {
  return await db.selectFrom('response_islands').selectAll().where('trust_domain', '=', trustDomain).execute();
}

export async function readIsland(db: Db, trustDomain: string, deviceId: string): Promise<IslandRow> {
  const row = await db
    .selectFrom('response_islands')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .where('device_id', '=', deviceId)
    .executeTakeFirst();
  const none = { order_sequence: 0, ordered_at: 0, cause: '', by: '', reported: '', reported_at: 0 };
  return row ?? { trust_domain: trustDomain, device_id: deviceId, ...none };
}

export async function saveIsland(db: Db, row: IslandRow): Promise<void> {
  await db
    .insertInto('response_islands')
    .values(row)
    .onConflict((conflict) => conflict.columns(['trust_domain', 'device_id']).doUpdateSet(row))
    .execute();
}

/** Blocks that last beyond `at`, milliseconds since the epoch. */
export async function listBlocks(db: Db, trustDomain: string, at: number): Promise<BlockRow[]> {
  return await db
    .selectFrom('response_blocks')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .where('until', '>', at)
    .orderBy('address')
    .orderBy('device_id')
    .orderBy('order_sequence')
    .execute();
}

export async function saveBlock(db: Db, row: BlockRow): Promise<void> {
  await db
    .insertInto('response_blocks')
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(['trust_domain', 'address', 'device_id', 'order_sequence']).doUpdateSet(row),
    )
    .execute();
}

export interface BlockFilter {
  readonly address: string;
  /** Absent: of every device, and of the fleet. */
  readonly deviceIds?: readonly string[];
  readonly source?: 'learned' | 'ordered';
}

export async function deleteBlocks(db: Db, trustDomain: string, filter: BlockFilter): Promise<void> {
  const { address, deviceIds, source } = filter;
  let query = db.deleteFrom('response_blocks').where('trust_domain', '=', trustDomain).where('address', '=', address);
  if (deviceIds !== undefined) query = query.where('device_id', 'in', [...deviceIds]);
  if (source === 'learned') query = query.where('order_sequence', '=', 0);
  if (source === 'ordered') query = query.where('order_sequence', '>', 0);
  await query.execute();
}

export async function deleteExpiredBlocks(db: Db, trustDomain: string, at: number): Promise<void> {
  await db.deleteFrom('response_blocks').where('trust_domain', '=', trustDomain).where('until', '<=', at).execute();
}

export async function countBlocks(db: Db, trustDomain: string, source: 'learned' | 'ordered', deviceId?: string) {
  let query = db
    .selectFrom('response_blocks')
    .select((eb) => eb.fn.countAll().as('count'))
    .where('trust_domain', '=', trustDomain)
    .where('order_sequence', source === 'learned' ? '=' : '>', 0);
  if (deviceId !== undefined) query = query.where('device_id', '=', deviceId);
  return Number((await query.executeTakeFirstOrThrow()).count);
}

export async function readCursor(db: Db, trustDomain: string): Promise<number> {
  const row = await db
    .selectFrom('response_reports')
    .select('next_index')
    .where('trust_domain', '=', trustDomain)
    .executeTakeFirst();
  return row?.next_index ?? 0;
}

export async function saveCursor(db: Db, trustDomain: string, nextIndex: number): Promise<void> {
  const row = { trust_domain: trustDomain, next_index: nextIndex };
  await db
    .insertInto('response_reports')
    .values(row)
    .onConflict((conflict) => conflict.column('trust_domain').doUpdateSet(row))
    .execute();
}
