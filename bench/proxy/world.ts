// Three hosts: a client that owns every peer's address, the PLC with its edge, and the same servers on a host without one, which
// is what "direct" means in every figure.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createTestAuthority } from '../../test/support/pki.ts';
import { createNetwork, type Network } from '../../test/support/netns.ts';
import { type KnownDevice, seal, statesOf, writeEdgeState } from '../edge-state.ts';
import { clientHost, routePeers, SERVER, serverHost } from '../firewall/world.ts';
import { programEnvironment, programFlags, Talk, type TalkOptions } from '../talk.ts';
import { inTemporaryFolder } from '../temporary-folder.ts';
import type { Order, OrderAnswer } from './client.ts';
import type { EdgeQuestion, EdgeTask, EdgeUse } from './edge-process.ts';
import type { ServerSeen } from './server.ts';
import { devicesOf, interfaces, listenPorts, ports, plcSlice, trustDomain } from './policy.ts';

export const DIRECT = '10.20.0.12';
/** How clients reach the server; `against` says so. */
export const PATH =
  'two hosts on a bridge, packet rules and TPROXY of the edge, against the same server on a host without';
const hosts = { client: clientHost, plc: serverHost(SERVER), plain: serverHost(DIRECT) };
export type Host = keyof typeof hosts;

export interface BenchEdge {
  readonly pid: number;
  use(collect?: boolean): Promise<EdgeUse>;
  /** Brings the next version of the policy into force; rejects unless it is. */
  reload(): Promise<void>;
  /** Signed states of all devices, these in quarantine. */
  quarantine(...devices: readonly string[]): Promise<void>;
}

export interface BenchWorld {
  readonly net: Network<Host>;
  readonly edge: BenchEdge;
  /** What the servers of a host have seen. */
  server(host: Exclude<Host, 'client'>): Promise<ServerSeen>;
  /** What came on each connection to the servers of a host since this was last asked; nothing the first time. */
  received(host: Exclude<Host, 'client'>): Promise<readonly Uint8Array[]>;
  /** A client in a process of its own. */
  client(): Promise<BenchClient>;
}

export interface BenchClient extends AsyncDisposable {
  order<O extends Order>(order: O): Promise<OrderAnswer<O>>;
}

const protocols = Object.keys(ports) as (keyof typeof ports)[];

/** Flags of node for the edge's process, e.g. `--cpu-prof`. */
const edgeFlags = (process.env['EDGEWARD_BENCH_EDGE_FLAGS'] ?? '').split(' ').filter((flag) => flag !== '');

export async function withWorld<T>(work: (world: BenchWorld) => Promise<T>): Promise<T> {
  return await inTemporaryFolder(async (folder) => {
    const state = join(folder, 'state');
    mkdirSync(state);
    const devices = devicesOf();
    await writeEdgeState(state, createTestAuthority(trustDomain), { slice: plcSlice(), devices });
    await using net = await createNetwork({ hosts });
    await routePeers(net, 'client', ['plc', 'plain']);
    const talks: Talk[] = [];
    try {
      const servers = {
        plc: await startOn(net, 'plc', 'server.ts', []),
        plain: await startOn(net, 'plain', 'server.ts', []),
      };
      talks.push(servers.plc, servers.plain);
      const task: EdgeTask = {
        folder,
        state,
        lines: [
          'firewall: {mode: enforce, backend: netlink}',
          `proxies: [${protocols.map((of) => `{interface: ${interfaces[of]}, listen: ${listenPorts[of]}}`).join(', ')}]`,
        ],
      };
      const startEdge = async (): Promise<Talk> =>
        await startOn(net, 'plc', 'edge-process.ts', [JSON.stringify(task)], {
          flags: [...programFlags, ...edgeFlags],
          // As the shipped unit gives it one; the first start leaves it to every later one.
          environment: { ...programEnvironment, NODE_COMPILE_CACHE: join(folder, 'cache') },
        });
      await (await startEdge()).stop();
      const edge = await startEdge();
      talks.push(edge);
      return await work({
        net,
        edge: edgeOf(edge),
        received: (host) => servers[host].ask<Uint8Array[]>('take'),
        server: (host) => servers[host].ask<ServerSeen>('seen'),
        async client() {
          const talk = await startOn(net, 'client', 'client.ts', []);
          talks.push(talk);
          return { order: (order) => asked(talk, order), [Symbol.asyncDispose]: () => talk.stop() };
        },
      });
    } finally {
      await Promise.all(talks.map((talk) => talk.stop()));
    }
  });
}

async function startOn(
  net: Network<Host>,
  host: Host,
  module: string,
  args: readonly string[],
  options: TalkOptions = {},
): Promise<Talk> {
  const path = join(import.meta.dirname, module);
  const talk = new Talk(path, args, { ...options, on: (argv) => net.commandOn(host, argv) });
  await talk.next();
  return talk;
}

async function asked<T>(talk: Talk, question: object): Promise<T> {
  const answer = await talk.ask<T | { error: string }>(question);
  if (typeof answer === 'object' && answer !== null && 'error' in answer) throw new Error(answer.error);
  return answer;
}

function edgeOf(talk: Talk): BenchEdge {
  const ask = <T>(question: EdgeQuestion): Promise<T> => asked<T>(talk, question);
  let bundle = 1;
  let states = 1;
  return {
    pid: talk.child.pid ?? 0,
    use: (collect = false) => ask<EdgeUse>({ ask: 'use', collect }),
    async reload() {
      const version = ++bundle;
      await ask({ ask: 'offer', sealed: await seal(plcSlice(`version-${version}`), version) });
      const use = await ask<EdgeUse>({ ask: 'use' });
      if (use.bundle !== version) throw new Error(`bundle ${use.bundle} is in force, expected ${version}`);
    },
    async quarantine(...devices) {
      const version = ++states;
      const known: KnownDevice[] = devicesOf(new Set(devices));
      await ask({ ask: 'states', version, payload: await statesOf(trustDomain, version, known) });
    },
  };
}
