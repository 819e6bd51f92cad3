// One request in flight on one connection to each target, block by block in turn.
import { connectModbus, isRefusal, type ModbusClient, numberIn, type Target } from './modbus-client.ts';

export interface PingPongOrder {
  readonly targets: Readonly<Record<string, Target>>;
  /** Requests of a block, blocks of a round, rounds. */
  readonly block: number;
  readonly blocks: number;
  readonly rounds: number;
}

export interface PingPongRound {
  /** Microseconds of each request, sorted. */
  readonly latencies: Float64Array;
  readonly requestsPerSecond: number;
}

export interface PingPong {
  readonly rounds: readonly Readonly<Record<string, PingPongRound>>[];
  /** Whether a write of a register that nobody may write was answered with exception 1, before and after. */
  readonly refuses: Readonly<Record<string, boolean>>;
}

/** A register that no grant names. */
export const FORBIDDEN = 5_000;

export async function pingPong({ targets, block, blocks, rounds }: PingPongOrder): Promise<PingPong> {
  const clients = new Map<string, ModbusClient>();
  for (const [name, target] of Object.entries(targets)) clients.set(name, await connectModbus(target));
  const sent = new Map<string, number>();
  const seen: Record<string, PingPongRound>[] = [];
  const refusals = new Map<string, number>();
  const forbidden = async (): Promise<void> => {
    for (const [name, client] of clients) {
      if (isRefusal(await client.ask(6, FORBIDDEN, 1))) refusals.set(name, (refusals.get(name) ?? 0) + 1);
      else sent.set(name, (sent.get(name) ?? 0) + 1);
    }
  };
  await forbidden();
  // Before anything counts, code is compiled and windows of events are open.
  for (const [name, client] of clients) await ask(client, name, sent, new Float64Array(block * 4));
  for (let round = 0; round < rounds; round += 1) {
    const took = new Map([...clients.keys()].map((name) => [name, new Float64Array(block * blocks)]));
    const elapsed = new Map<string, number>();
    for (let at = 0; at < blocks; at += 1) {
      for (const [name, client] of clients) {
        const started = performance.now();
        await ask(client, name, sent, took.get(name)!.subarray(at * block, (at + 1) * block));
        elapsed.set(name, (elapsed.get(name) ?? 0) + performance.now() - started);
      }
    }
    seen.push(
      Object.fromEntries(
        [...took].map(([name, latencies]): [string, PingPongRound] => [
          name,
          { latencies: latencies.toSorted(), requestsPerSecond: (block * blocks * 1_000) / (elapsed.get(name) ?? 0) },
        ]),
      ),
    );
  }
  await forbidden();
  for (const client of clients.values()) client.close();
  return {
    rounds: seen,
    refuses: Object.fromEntries([...clients.keys()].map((name) => [name, refusals.get(name) === 2])),
  };
}

/** Every answer has to be the server's, to the request before it and no other. */
async function ask(client: ModbusClient, name: string, sent: Map<string, number>, took: Float64Array): Promise<void> {
  let number = sent.get(name) ?? 0;
  for (let at = 0; at < took.length; at += 1) {
    const started = process.hrtime.bigint();
    const answer = await client.read(at % 1_000);
    took[at] = Number(process.hrtime.bigint() - started) / 1_000;
    number = (number + 1) & 0xffff;
    if (numberIn(answer) !== number) throw new Error(`${name}: not the server's answer to request ${number}`);
  }
  sent.set(name, number);
}
