// What orders leave in the audit of this edge.
import type { EmitEvent, NewEvent } from '../../audit/spool/index.ts';
import { CodedError, formatError } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import { type Order, OrderVerb } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { AppliedOrder } from './order-book.ts';
import { verbName } from './verdicts.ts';

interface Told {
  readonly emit: EmitEvent;
  readonly log: Logger;
}

/** `enforced`, or `no-effect` for a release without recovery and for anything after a revocation. */
export function tellOrder(told: Told, applied: AppliedOrder): Promise<void> {
  return applied.site === undefined ? tellDeviceOrder(told, applied) : tellSiteOrder(told, applied.order, applied.site);
}

/** Of a fleet only those say so whom it concerns. */
async function tellSiteOrder(told: Told, order: Order, site: NonNullable<AppliedOrder['site']>): Promise<void> {
  if (!site.concerned) return;
  const closes = order.verb === OrderVerb.ISLAND || order.verb === OrderVerb.BLOCK;
  await emit(told, {
    kind: 'order',
    activity: site.full ? 'no-room' : verbName(order.verb),
    severity: closes ? 'high' : 'medium',
    data: {
      verb: verbName(order.verb),
      sequence: Number(order.sequence),
      reason: order.reason,
      by: order.approvers[0] ?? '',
      ...(order.address === '' ? {} : { source_ip: order.address }),
      ...(order.untilMs === 0n ? {} : { until_ms: Number(order.untilMs) }),
    },
  });
}

function tellDeviceOrder(told: Told, { order, from, to }: AppliedOrder): Promise<void> {
  const noEffect = from === to && (order.verb === OrderVerb.RELEASE ? from !== undefined : from === 'revoked');
  return emit(told, {
    kind: 'order',
    activity: noEffect ? 'no-effect' : verbName(order.verb),
    severity: order.verb === OrderVerb.RELEASE && !noEffect ? 'info' : 'high',
    data: {
      device: order.deviceId,
      verb: verbName(order.verb),
      sequence: Number(order.sequence),
      from: from ?? 'none',
      to: to ?? 'none',
      reason: order.reason,
    },
  });
}

/** What was refused: orders, device-state or revocations. A gap or a full disk is trouble; the rest may be an attack. */
export function tellRefused(told: Told, what: string, error: unknown): Promise<void> {
  const code = error instanceof CodedError ? error.code : '';
  const trouble = code === 'ORDERS_GAP' || code.startsWith('FILE_SYSTEM_');
  return emit(told, {
    kind: 'order',
    activity: 'refuse',
    severity: trouble ? 'medium' : 'high',
    data: { resource: what, code, message: error instanceof Error ? error.message : String(error) },
  });
}

export function tellDamaged(told: Told, path: string, error: unknown): Promise<void> {
  told.log.error({ err: error, path }, 'a stored order or state is damaged');
  return emit(told, {
    kind: 'order',
    activity: 'damaged',
    severity: 'critical',
    data: { message: formatError(error), path },
  });
}

async function emit({ emit: put, log }: Told, event: NewEvent): Promise<void> {
  try {
    await put(event);
  } catch (error) {
    log.error({ err: error, activity: event.activity }, 'an event of orders was lost');
  }
}
