// What a containment did, for the log: when the kernel had the cut, when the last packet of the peer was accepted, and
// what ended. Made behind the cut, which waits for none of it.
import type { EmitEvent, NewEvent } from '../../audit/spool/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { type FlowAccess, flowAddress, type FlowTarget, RESOLUTION_MS } from './flows/index.ts';
import { seenSets } from './plan.ts';
import type { Containment } from './plan.ts';

export interface Cut {
  readonly device: string;
  readonly containment: Containment;
  /** Of the signed order. */
  readonly sequence: number;
  /** Wall clock at which the kernel had it, milliseconds since the epoch. */
  readonly at: number;
  /** From the order's turn to then. */
  readonly elapsedMs: number;
  readonly target: FlowTarget;
  /** Connections through this host's proxies that were closed. */
  readonly streams: number;
  /** Since when accepted packets are remembered: the table was loaded then. */
  readonly countedSince: number;
}

export interface ReceiptParts {
  readonly flows: FlowAccess;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** Trusted wall clock, milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
  readonly emit: EmitEvent;
}

/** Ends what the peer has open and records all of it. What could not be done is in the record; packets stay out either way. */
export async function conclude(parts: ReceiptParts, cut: Cut): Promise<void> {
  const { flows, sockets, failures } = await parts.flows.end(cut.target);
  const accepted = await lastAccepted(parts, cut.target);
  const all = [...failures, ...accepted.failures];
  for (const failure of all) parts.log.warn({ device: cut.device, failure }, 'a flow of a contained peer may linger');
  const data: NewEvent['data'] = {
    device: cut.device,
    state: cut.containment,
    sequence: cut.sequence,
    addresses: cut.target.addresses.map(({ text }) => text),
    cut_ms: cut.at,
    elapsed_us: Math.round(cut.elapsedMs * 1_000),
    ...accepted.data,
    since_ms: cut.countedSince,
    flows,
    sockets,
    streams: cut.streams,
    ...(all.length === 0 ? {} : { failures: all }),
  };
  await parts.emit({ kind: 'firewall', activity: 'contain', severity: 'high', data });
}

interface Accepted {
  readonly data: NewEvent['data'];
  readonly failures: readonly string[];
}

/** The later end of the time in which the last packet was accepted; it was at most `resolution_ms` earlier. */
async function lastAccepted({ flows, clock, now }: ReceiptParts, { addresses }: FlowTarget): Promise<Accepted> {
  const started = clock.monotonic();
  try {
    const [from, to] = await Promise.all([latest(flows, 'from', addresses), latest(flows, 'to', addresses)]);
    const tookMs = clock.monotonic() - started;
    const at = now();
    return {
      data: {
        ...(from === undefined ? {} : { last_from_ms: Math.round(at - from) }),
        ...(to === undefined ? {} : { last_to_ms: Math.round(at - to) }),
        resolution_ms: RESOLUTION_MS + Math.ceil(tookMs),
      },
      failures: [],
    };
  } catch (error) {
    return { data: {}, failures: [error instanceof Error ? error.message : String(error)] };
  }
}

/** How long ago it was, milliseconds; undefined for never. */
async function latest(
  flows: FlowAccess,
  side: 'from' | 'to',
  addresses: FlowTarget['addresses'],
): Promise<number | undefined> {
  const known = addresses.map(({ text }) => flowAddress(text));
  const seen = await Promise.all(
    ([4, 6] as const).map((family) =>
      flows.seen(
        seenSets[side][family],
        known.filter((address) => address.family === family),
      ),
    ),
  );
  const ages = seen.flat().map(({ agoMs }) => agoMs);
  return ages.length === 0 ? undefined : Math.min(...ages);
}
