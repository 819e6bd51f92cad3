// One connection of an edge: the stream of orders, the bulk stream beside it, and renewal over either. The connection
// lives as long as the stream of orders; trouble on the bulk stream never interrupts orders.
import type { Clock } from '../../../runtime/clock.ts';
import type { CodedError } from '../../../runtime/errors.ts';
import type { Logger } from '../../../runtime/log.ts';
import { isAbort } from '../../../runtime/tasks.ts';
import { MAX_RENEWAL_RETRY_MS, RENEWAL_RETRY_MS } from '../limits.ts';
import type { Lane as LaneName } from '../resource-types.ts';
import { createLane, type Lane, type LaneContext, type LaneEnd } from './lane.ts';
import type { Renewal, StreamConnection } from './types.ts';

export interface ConnectionContext {
  /** Of a lane; undefined when nothing is subscribed on it. */
  readonly lane: (name: LaneName) => LaneContext | undefined;
  readonly renewal: Renewal | undefined;
  /** Milliseconds to wait before the bulk stream is opened again. */
  readonly delayMs: (attempt: number) => number;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ConnectionEnd {
  /** `renewed`: connect again at once, with the new identity. */
  readonly because: 'lost' | 'renewed';
  readonly reason: CodedError | undefined;
  readonly welcomed: boolean;
}

/** Holds a connection until it is lost or the identity was renewed. Closes it. Never rejects. */
export async function holdConnection(
  connection: StreamConnection,
  context: ConnectionContext,
  signal: AbortSignal,
): Promise<ConnectionEnd> {
  const over = new AbortController();
  const whole = AbortSignal.any([signal, over.signal]);
  const open = new Map<LaneName, Lane>();
  const names = (['orders', 'bulk'] as const).filter((name) => context.lane(name) !== undefined);
  const [first = 'orders', second] = names;

  const main = runOnce(connection, first, context, open, whole);
  const beside = second === undefined ? Promise.resolve() : keepOpen(connection, second, context, open, whole);
  const renewed = keepRenewed(context, () => open.get('bulk') ?? open.get('orders'), whole);
  const lost = main.then((lane): ConnectionEnd => ({ because: 'lost', ...lane }));
  const end = await Promise.race([
    lost,
    renewed.then(
      (): ConnectionEnd => ({ because: 'renewed', reason: undefined, welcomed: true }),
      // It only stops early because all is being stopped.
      () => lost,
    ),
  ]);
  over.abort();
  await Promise.allSettled([main, beside, renewed]);
  await connection.close();
  return end;
}

async function runOnce(
  connection: StreamConnection,
  name: LaneName,
  context: ConnectionContext,
  open: Map<LaneName, Lane>,
  signal: AbortSignal,
): Promise<LaneEnd> {
  const laneContext = context.lane(name);
  if (laneContext === undefined) throw new Error(`nothing is subscribed on the lane ${name}`);
  const lane = createLane(connection, laneContext);
  open.set(name, lane);
  try {
    return await lane.run(signal);
  } finally {
    open.delete(name);
  }
}

async function keepOpen(
  connection: StreamConnection,
  name: LaneName,
  context: ConnectionContext,
  open: Map<LaneName, Lane>,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    const { reason, welcomed } = await runOnce(connection, name, context, open, signal);
    if (signal.aborted) return;
    if (welcomed) attempt = 0;
    const delayMs = context.delayMs(attempt);
    context.log.warn({ lane: name, err: reason, retryInMs: delayMs }, 'bulk stream lost');
    await sleepUnlessAborted(context.clock, delayMs, signal);
  }
}

/** Resolves when a new identity was accepted; never otherwise, until the signal aborts. */
async function keepRenewed(
  context: ConnectionContext,
  lane: () => Lane | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { renewal, clock, log } = context;
  let retryMs = RENEWAL_RETRY_MS;
  let waitMs = renewal?.dueInMs() ?? Infinity;
  for (;;) {
    // Looked at again in between, because the wall clock behind `dueInMs` may be corrected.
    await clock.sleep(Math.min(Math.max(waitMs, 0), MAX_RENEWAL_RETRY_MS), signal);
    if (renewal === undefined || renewal.dueInMs() > 0) {
      waitMs = renewal?.dueInMs() ?? Infinity;
      continue;
    }
    try {
      const over = lane();
      if (over !== undefined) {
        await renewal.accept(await over.renew(await renewal.createRequest()));
        return;
      }
    } catch (error) {
      log.error({ err: error, retryInMs: retryMs }, 'the identity was not renewed');
    }
    waitMs = retryMs;
    retryMs = Math.min(2 * retryMs, MAX_RENEWAL_RETRY_MS);
  }
}

export async function sleepUnlessAborted(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(ms, signal);
  } catch (error) {
    if (!isAbort(error, signal)) throw error;
  }
}
