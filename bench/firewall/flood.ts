// flood.py: datagrams at a steady rate from many addresses of the client.
import type { NetProcess, Network } from '../../test/support/netns.ts';
import { SERVER, scriptOf } from './world.ts';

export interface Flooding {
  readonly port: number;
  /** First address and how many. */
  readonly from: readonly [first: string, addresses: number];
  readonly perSecond: number;
  readonly seconds: number;
  /** Flows that are open at the same time. */
  readonly sockets?: number;
}

export interface Flooded {
  /** Datagrams that the network took. */
  readonly sent: number;
  readonly refused: number;
  readonly seconds: number;
}

export interface Flood {
  /** Ends it before its time. */
  stop(): void;
  readonly over: Promise<Flooded>;
}

/** Resolves as soon as it is ready; `start` lets it go. */
export async function floodFrom<Host extends string>(
  net: Network<Host>,
  client: Host,
  { port, from: [first, addresses], perSecond, seconds, sockets = 256 }: Flooding,
): Promise<{ start(): Flood }> {
  const numbers = [addresses, perSecond, seconds, sockets, 1].map(String);
  const argv = ['python3', scriptOf('flood.py'), SERVER, String(port), first, ...numbers];
  const process: NetProcess = net.spawn(client, argv);
  await process.waitFor(/ready/);
  return {
    start() {
      process.child.stdin?.write('go\n');
      const over = process.waitFor(/^\{.*\}$/m, (seconds + 60) * 1_000).then(([line]) => JSON.parse(line) as Flooded);
      return { stop: () => void process.child.stdin?.write('stop\n'), over };
    },
  };
}
