// The one narrow query file of response: everything it asks of the database.
import type { Kysely } from 'kysely';
import type { Database } from '../../store/database.ts';
import type { DeviceStateName } from '../device-state-machine.ts';
import type { ResponseTables } from './migrations.ts';

type Db = Kysely<ResponseTables>;

export interface DeviceRow {
  readonly deviceId: string;
  readonly state: DeviceStateName;
  readonly reduced: boolean;
  readonly attestationClass: string;
  readonly attestedAt: number;
  readonly risk: number;
  readonly changedAt: number;
}

const toDevice = (row: ResponseTables['response_devices']): DeviceRow => ({
  deviceId: row.device_id,
  state: row.state as DeviceStateName,
  reduced: row.reduced !== 0,
  attestationClass: row.attestation_class,
  attestedAt: row.attested_at,
  risk: row.risk,
  changedAt: row.changed_at,
});

/** Takes the counters row of the trust domain under a lock and returns it; everything that moves a state starts here. */
export async function lockCounters(db: Db, dialect: Database['dialect'], trustDomain: string) {
  await db
    .insertInto('response_counters')
    .values({ trust_domain: trustDomain, order_sequence: 0, states_version: 0 })
    .onConflict((conflict) => conflict.column('trust_domain').doNothing())
    .execute();
  const query = db.selectFrom('response_counters').selectAll().where('trust_domain', '=', trustDomain);
  // SQLite has one writer (BEGIN IMMEDIATE); PostgreSQL needs the row lock.
  const row = await (dialect === 'postgres' ? query.forUpdate() : query).executeTakeFirstOrThrow();
  return { orderSequence: row.order_sequence, statesVersion: row.states_version };
}

export async function saveCounters(
  db: Db,
  trustDomain: string,
  counters: { orderSequence: number; statesVersion: number },
) {
  await db
    .updateTable('response_counters')
    .set({ order_sequence: counters.orderSequence, states_version: counters.statesVersion })
    .where('trust_domain', '=', trustDomain)
    .execute();
}

export async function readCounters(db: Db, trustDomain: string) {
  const row = await db
    .selectFrom('response_counters')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .executeTakeFirst();
  return { orderSequence: row?.order_sequence ?? 0, statesVersion: row?.states_version ?? 0 };
}

export async function readDevice(db: Db, trustDomain: string, deviceId: string): Promise<DeviceRow | undefined> {
  const row = await db
    .selectFrom('response_devices')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .where('device_id', '=', deviceId)
    .executeTakeFirst();
  return row === undefined ? undefined : toDevice(row);
}

export async function listDevices(db: Db, trustDomain: string): Promise<DeviceRow[]> {
  const rows = await db
    .selectFrom('response_devices')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .orderBy('device_id')
    .execute();
  return rows.map(toDevice);
}

export async function saveDevice(db: Db, trustDomain: string, device: DeviceRow): Promise<void> {
  const row = {
    trust_domain: trustDomain,
    device_id: device.deviceId,
    state: device.state,
    reduced: device.reduced ? 1 : 0,
    attestation_class: device.attestationClass,
    attested_at: device.attestedAt,
    risk: device.risk,
    changed_at: device.changedAt,
  };
  await db
    .insertInto('response_devices')
    .values(row)
    .onConflict((conflict) => conflict.columns(['trust_domain', 'device_id']).doUpdateSet(row))
    .execute();
}

export async function addTransition(
  db: Db,
  trustDomain: string,
  entry: { deviceId: string; at: number; from: string; to: string; cause: string; by: string },
): Promise<void> {
  const last = await db
    .selectFrom('response_transitions')
    .select((eb) => eb.fn.max('number').as('number'))
    .where('trust_domain', '=', trustDomain)
    .where('device_id', '=', entry.deviceId)
    .executeTakeFirst();
  await db
    .insertInto('response_transitions')
    .values({
      trust_domain: trustDomain,
      device_id: entry.deviceId,
      number: (last?.number ?? 0) + 1,
      at: entry.at,
      from_state: entry.from,
      to_state: entry.to,
      cause: entry.cause,
      by: entry.by,
    })
    .execute();
}

export async function readTransitions(db: Db, trustDomain: string, deviceId: string) {
  return await db
    .selectFrom('response_transitions')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .where('device_id', '=', deviceId)
    .orderBy('number')
    .execute();
}

export async function addOrder(db: Db, row: ResponseTables['response_orders']): Promise<void> {
  await db.insertInto('response_orders').values(row).execute();
}

export async function readOrders(db: Db, trustDomain: string, afterSequence: number, limit: number) {
  return await db
    .selectFrom('response_orders')
    .select(['sequence', 'jws'])
    .where('trust_domain', '=', trustDomain)
    .where('sequence', '>', afterSequence)
    .orderBy('sequence')
    .limit(limit)
    .execute();
}

export async function addAction(db: Db, row: ResponseTables['response_actions']): Promise<boolean> {
  const result = await db
    .insertInto('response_actions')
    .values(row)
    .onConflict((conflict) => conflict.columns(['trust_domain', 'id']).doNothing())
    .executeTakeFirst();
  return Number(result.numInsertedOrUpdatedRows ?? 0) === 1;
}

export async function updateAction(
  db: Db,
  trustDomain: string,
  id: string,
  change: { state: string; why: string; order_sequence: number },
): Promise<void> {
  await db
    .updateTable('response_actions')
    .set(change)
    .where('trust_domain', '=', trustDomain)
    .where('id', '=', id)
    .execute();
}

export async function listActions(db: Db, trustDomain: string) {
  return await db
    .selectFrom('response_actions')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .orderBy('at', 'desc')
    .limit(1000)
    .execute();
}
