// Device states and orders, the one owner of both (docs/decisions/0003). A transition, its history row and its signed
// order are one transaction under the trust domain's counters row, so sequences have no gaps and no two replicas race.
import { create, toBinary } from '@bufbuild/protobuf';
import type { Kysely } from 'kysely';
import { DeviceStatesSchema, OrderVerb } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { CodedError } from '../../runtime/errors.ts';
import type { Database } from '../../store/database.ts';
import { type DeviceEvent, nextState } from '../device-state-machine.ts';
import { responseErrors } from '../errors.ts';
import { maxOrdersPerSnapshot } from '../limits.ts';
import type { ResponseTables } from './migrations.ts';
import { type SignPayload, writeOrder } from './orders.ts';
import * as queries from './queries.ts';

export type { DeviceRow } from './queries.ts';

/** What happened, for the audit log; durable before it resolves. */
export type EmitResponseEvent = (event: {
  kind: 'device' | 'order';
  activity: string;
  severity: 'info' | 'medium' | 'high';
  data: Record<string, string | number | boolean>;
}) => Promise<void>;

export interface DevicePorts {
  readonly db: Database;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly sign: SignPayload;
  readonly emit: EmitResponseEvent;
  /** Told after the commit; orders go out first. */
  readonly changed: (what: 'orders' | 'states') => void;
  /** Whether the inventory of the current policy names the device. */
  readonly inInventory: (deviceId: string) => Promise<boolean>;
  /** Open findings against the device, newer than the given time. */
  readonly openFindings: (deviceId: string, since: number) => Promise<number>;
}

export interface Change {
  readonly deviceId: string;
  readonly event: DeviceEvent;
  /** Why, for people; goes into order, history and audit. */
  readonly cause: string;
  /** SPIFFE ID or playbook that did it. */
  readonly by: string;
  readonly attestation?: { readonly class: string; readonly at: number };
}

const orderVerbs: Partial<Record<DeviceEvent, OrderVerb>> = {
  quarantined: OrderVerb.QUARANTINE,
  reimaged: OrderVerb.RECOVER,
  recovered: OrderVerb.RECOVER,
  released: OrderVerb.RELEASE,
  revoked: OrderVerb.REVOKE,
};

/** Whether something may happen; a refusal says why. */
export type Permission = { readonly allowed: true } | { readonly allowed: false; readonly refusal: CodedError };

export type Devices = ReturnType<typeof createDevices>;

export function createDevices(ports: DevicePorts) {
  const { db, trustDomain } = ports;
  const tables = db.withTables<ResponseTables>();

  /** Moves a device along one row of the table. Returns the sequence of the order it took, 0 when it took none. */
  async function apply(change: Change): Promise<{ device: queries.DeviceRow; orderSequence: number }> {
    await mustExist(change.deviceId);
    const at = ports.clock.now();
    const done = await db.transaction<ResponseTables, Moved>(async (trx) => await move(trx, change, at));
    if (done.changed) await report(change, done);
    if (done.orderSequence > 0) ports.changed('orders');
    if (done.changed) ports.changed('states');
    return { device: done.device, orderSequence: done.orderSequence };
  }

  async function mustExist(deviceId: string): Promise<void> {
    if (await queries.readDevice(tables, trustDomain, deviceId)) return;
    if (!(await ports.inInventory(deviceId))) {
      throw responseErrors.error(
        'RESPONSE_DEVICE_UNKNOWN',
        `no device ${JSON.stringify(deviceId)} in the inventory of ${trustDomain}`,
      );
    }
  }

  async function move(trx: Kysely<ResponseTables>, change: Change, at: number): Promise<Moved> {
    const counters = await queries.lockCounters(trx, db.dialect, trustDomain);
    const before = (await queries.readDevice(trx, trustDomain, change.deviceId)) ?? unseen(change.deviceId, at);
    const to = nextState(before.state, change.event);
    if (to === undefined) {
      throw responseErrors.error(
        'RESPONSE_TRANSITION_REFUSED',
        `${change.deviceId} is ${before.state}; "${change.event}" does not lead out of that state`,
      );
    }
    const device: queries.DeviceRow = {
      ...before,
      state: to,
      reduced: change.event === 'released' && before.state === 'recovering' ? true : before.reduced,
      attestationClass: change.attestation?.class ?? (change.event === 'reimaged' ? 'none' : before.attestationClass),
      // What was affirmed before a re-image or a contradiction says nothing about the device any more.
      attestedAt:
        change.attestation?.at ??
        (change.event === 'reimaged' || change.event === 'contradicted' ? 0 : before.attestedAt),
      changedAt: to === before.state && change.event !== 'reimaged' ? before.changedAt : at,
    };
    const moved = to !== before.state || change.event === 'reimaged';
    const order = moved ? await order_(trx, change, before.state, counters.orderSequence + 1, at) : 0;
    await queries.saveDevice(trx, trustDomain, device);
    if (moved) {
      await queries.addTransition(trx, trustDomain, {
        deviceId: change.deviceId,
        at,
        from: before.state,
        to,
        cause: change.cause,
        by: change.by,
      });
    }
    await queries.saveCounters(trx, trustDomain, {
      orderSequence: order === 0 ? counters.orderSequence : order,
      statesVersion: counters.statesVersion + 1,
    });
    const attested = change.attestation !== undefined || device.attestedAt !== before.attestedAt;
    return { device, from: before.state, orderSequence: order, changed: moved || attested };
  }

  async function order_(
    trx: Kysely<ResponseTables>,
    change: Change,
    from: string,
    sequence: number,
    at: number,
  ): Promise<number> {
    const verb = orderVerbs[change.event];
    // A re-image of a device that was never contained needs no order: there is nothing to lift.
    if (verb === undefined || (change.event === 'reimaged' && from !== 'quarantined')) return 0;
    const { deviceId, cause, by } = change;
    await writeOrder(trx, ports, { verb, reason: cause, by, fields: { deviceId } }, sequence, at);
    return sequence;
  }

  async function report(change: Change, done: Moved): Promise<void> {
    const grave =
      done.device.state === 'quarantined' || done.device.state === 'suspect' || done.device.state === 'decommissioned';
    await ports.emit({
      kind: 'device',
      activity: change.event,
      severity: grave ? 'high' : 'info',
      data: {
        device: change.deviceId,
        from: done.from,
        to: done.device.state,
        message: change.cause,
        by: change.by,
        ...(done.orderSequence === 0 ? {} : { sequence: done.orderSequence }),
      },
    });
  }

  /** Ends a quarantine by a person's word: for hardware classes, whose key cannot have been copied. */
  async function recover(request: { deviceId: string; reason: string; by: string }) {
    const device = await queries.readDevice(tables, trustDomain, request.deviceId);
    if (device !== undefined && !hardwareClasses.has(device.attestationClass)) {
      throw responseErrors.error(
        'RESPONSE_REIMAGE_NEEDED',
        `${device.deviceId} is of the software class; whoever had it may hold its key`,
      );
    }
    return await apply({ deviceId: request.deviceId, event: 'recovered', cause: request.reason, by: request.by });
  }

  /** Release by a person, along the design's path for the software class only. */
  async function release(request: { deviceId: string; reason: string; by: string; full: boolean }) {
    const device = await queries.readDevice(tables, trustDomain, request.deviceId);
    if (device === undefined) {
      throw responseErrors.error(
        'RESPONSE_DEVICE_UNKNOWN',
        `no device ${JSON.stringify(request.deviceId)} in ${trustDomain}`,
      );
    }
    if (request.full) return await liftReduction(device, request);
    if (device.state === 'quarantined') {
      throw responseErrors.error(
        'RESPONSE_REIMAGE_NEEDED',
        `${device.deviceId} is quarantined and of the software class; it comes back only re-imaged, with a new key`,
      );
    }
    if (device.attestedAt < device.changedAt || device.attestationClass === 'none') {
      throw responseErrors.error(
        'RESPONSE_NOT_ATTESTED',
        `${device.deviceId} has no affirming appraisal since it became ${device.state}`,
      );
    }
    if ((await ports.openFindings(device.deviceId, device.changedAt)) > 0) {
      throw responseErrors.error(
        'RESPONSE_FINDING_OPEN',
        `${device.deviceId} has open findings since it became ${device.state}`,
      );
    }
    return await apply({ deviceId: device.deviceId, event: 'released', cause: request.reason, by: request.by });
  }

  async function liftReduction(device: queries.DeviceRow, request: { reason: string; by: string }) {
    if (device.state !== 'trusted') {
      throw responseErrors.error(
        'RESPONSE_TRANSITION_REFUSED',
        `${device.deviceId} is ${device.state}; only a trusted device gets its full grants back`,
      );
    }
    const lifted = { ...device, reduced: false };
    await db.transaction<ResponseTables, void>(async (trx) => {
      const counters = await queries.lockCounters(trx, db.dialect, trustDomain);
      await queries.saveDevice(trx, trustDomain, lifted);
      await queries.addTransition(trx, trustDomain, {
        deviceId: device.deviceId,
        at: ports.clock.now(),
        from: 'trusted (reduced)',
        to: 'trusted',
        cause: request.reason,
        by: request.by,
      });
      await queries.saveCounters(trx, trustDomain, { ...counters, statesVersion: counters.statesVersion + 1 });
    });
    await ports.emit({
      kind: 'device',
      activity: 'restored',
      severity: 'info',
      data: {
        device: device.deviceId,
        from: 'trusted (reduced)',
        to: 'trusted',
        message: request.reason,
        by: request.by,
      },
    });
    ports.changed('states');
    return { device: lifted, orderSequence: 0 };
  }

  /** Marks as stale what was not affirmed for `maxAgeMs`; called periodically. */
  async function ageOut(maxAgeMs: number): Promise<void> {
    const limit = ports.clock.now() - maxAgeMs;
    for (const device of await queries.listDevices(tables, trustDomain)) {
      if (device.state !== 'trusted' || device.attestedAt >= limit) continue;
      await apply({ deviceId: device.deviceId, event: 'aged', cause: 'no affirming appraisal in time', by: 'control' });
    }
  }

  /** The signed states of the trust domain, as the stream's DEVICE_STATE resource; `versionOf` makes its version of the counter. */
  async function statesResource(
    versionOf: (counter: number) => bigint = BigInt,
  ): Promise<{ version: bigint; payload: Uint8Array }> {
    const { statesVersion } = await queries.readCounters(tables, trustDomain);
    const version = versionOf(statesVersion);
    const devices = await queries.listDevices(tables, trustDomain);
    const payload = toBinary(
      DeviceStatesSchema,
      create(DeviceStatesSchema, {
        trustDomain,
        version,
        issuedAtMs: BigInt(ports.clock.now()),
        devices: devices.map((device) => ({
          deviceId: device.deviceId,
          state: device.state,
          attestationClass: device.attestationClass,
          attestedAtMs: BigInt(device.attestedAt),
          risk: device.risk,
          reduced: device.reduced,
        })),
      }),
    );
    const jws = await ports.sign('edgeward-states+proto', payload);
    return { version, payload: new TextEncoder().encode(jws) };
  }

  async function ordersSince(sequence: number): Promise<{ version: number; orders: string[] }> {
    const rows = await queries.readOrders(tables, trustDomain, sequence, maxOrdersPerSnapshot);
    return { version: rows.at(-1)?.sequence ?? sequence, orders: rows.map((row) => row.jws) };
  }

  /** Whether a device may get a certificate by a token: a tombstone never, a contained one only re-imaged. */
  async function mayEnroll(deviceId: string, reimage: boolean): Promise<Permission> {
    const state = (await queries.readDevice(tables, trustDomain, deviceId))?.state ?? 'expected';
    const event: DeviceEvent = reimage ? 'reimaged' : 'enrolled';
    if (nextState(state, event) !== undefined) return { allowed: true };
    const code = state === 'decommissioned' || reimage ? 'RESPONSE_TRANSITION_REFUSED' : 'RESPONSE_REIMAGE_NEEDED';
    return { allowed: false, refusal: responseErrors.error(code, `${deviceId} is ${state}`) };
  }

  async function mayRenew(deviceId: string): Promise<Permission> {
    const state = (await queries.readDevice(tables, trustDomain, deviceId))?.state ?? 'expected';
    if (state !== 'decommissioned' && state !== 'expected') return { allowed: true };
    return { allowed: false, refusal: responseErrors.error('RESPONSE_TRANSITION_REFUSED', `${deviceId} is ${state}`) };
  }

  return {
    apply,
    mayEnroll,
    mayRenew,
    recover,
    release,
    ageOut,
    statesResource,
    ordersSince,
    get: async (deviceId: string) => await queries.readDevice(tables, trustDomain, deviceId),
    list: async () => await queries.listDevices(tables, trustDomain),
    timeline: async (deviceId: string) => await queries.readTransitions(tables, trustDomain, deviceId),
  };
}

/** Attestation classes whose keys live in hardware. */
const hardwareClasses: ReadonlySet<string> = new Set(['tpm', 'idevid']);

interface Moved {
  readonly device: queries.DeviceRow;
  readonly from: string;
  readonly orderSequence: number;
  readonly changed: boolean;
}

const unseen = (deviceId: string, at: number): queries.DeviceRow => ({
  deviceId,
  state: 'expected',
  reduced: false,
  attestationClass: 'none',
  attestedAt: 0,
  risk: 0,
  changedAt: at,
});
