// Masters that poll as masters do: one request each period, each on its own connection, which is opened again when it ends.
import { setTimeout as delay } from 'node:timers/promises';
import { connectModbus, type ModbusClient, numberIn, type Target } from './modbus-client.ts';

export interface PollOrder {
  readonly target: Omit<Target, 'from'>;
  /** One client each. */
  readonly from: readonly string[];
  /** 0: the next request follows the answer. */
  readonly periodMs: number;
  readonly seconds: number;
}

export interface Polled {
  readonly polls: number;
  /** Without the server's answer within a period (with period 0: within a second). */
  readonly missed: number;
  /** Connections that ended before the client ended them. */
  readonly dropped: number;
  /** By which clients, and when, in milliseconds since the first poll. */
  readonly drops: readonly { readonly from: string; readonly atMs: number }[];
  /** Milliseconds to the answer. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const PATIENCE_MS = 1_000;
const CONNECT_MS = 2_000;

interface Tally {
  polls: number;
  missed: number;
  readonly took: number[];
  readonly drops: { from: string; atMs: number }[];
}

export async function poll({ target, from, periodMs, seconds }: PollOrder): Promise<Polled> {
  const tally: Tally = { polls: 0, missed: 0, took: [], drops: [] };
  const clients = await Promise.all(from.map((address) => connectModbus({ ...target, from: address })));
  const begun = performance.now();
  await Promise.all(
    clients.map(async (client, at) => {
      // Spread over the period, as clients that know nothing of each other are.
      await delay((periodMs * at) / clients.length);
      await pollOn(client, { ...target, from: from[at] ?? '' }, periodMs, begun, seconds * 1_000, tally);
    }),
  );
  const took = Float64Array.from(tally.took).toSorted();
  const at = (share: number): number => took[Math.max(0, Math.ceil(took.length * share) - 1)] ?? Number.NaN;
  const { polls, missed, drops } = tally;
  return { polls, missed, dropped: drops.length, drops, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

async function pollOn(
  first: ModbusClient,
  target: Target,
  periodMs: number,
  begun: number,
  forMs: number,
  tally: Tally,
): Promise<void> {
  let client: ModbusClient | undefined = first;
  const end = begun + forMs;
  let due = performance.now();
  while (due < end) {
    const sent = performance.now();
    tally.polls += 1;
    client ??= await within(CONNECT_MS, connectModbus(target));
    const answer = client === undefined ? undefined : await within(PATIENCE_MS, client.read(tally.polls % 1_000));
    const took = performance.now() - sent;
    tally.took.push(took);
    if (numberIn(answer) === undefined || took > (periodMs || PATIENCE_MS)) tally.missed += 1;
    if (client !== undefined && answer === undefined) {
      if (client.isEnded) tally.drops.push({ from: target.from, atMs: Math.round(performance.now() - begun) });
      client.close();
      client = undefined;
    }
    due = Math.max(due + periodMs, performance.now());
    if (due > performance.now()) await delay(due - performance.now());
  }
  client?.close();
}

/** Undefined too late, and for what fails. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  const late = new AbortController();
  try {
    return await Promise.race([work, delay(ms, undefined, { signal: late.signal })]);
  } catch {
    return undefined;
  } finally {
    late.abort();
  }
}
