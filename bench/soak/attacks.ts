// Attacks, one after the other: root on gateway-1 kills the enforcer, flushes its rules and does something hostile. Packet
// probes tell the time from the first hostile packet that leaves to the last packet of gateway-1 that a neighbour accepts.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readSetPoint } from '../../demo/attack.ts';
import { until } from '../../test/support/until.ts';
import { addresses, fetchPage, modbusWrite, poller, plcPort, scanner, setPoint, webPort } from '../../demo/site.ts';
import type { NetProcess, PacketWatch } from '../../test/support/netns.ts';
import type { World } from './world.ts';

export const hostileActions = ['refused PLC write', 'forbidden requests', 'port scan'] as const;
export type HostileAction = (typeof hostileActions)[number];

export interface AttackRound {
  readonly action: HostileAction;
  /** First hostile packet to last accepted one; undefined when gateway-1 was not contained. */
  readonly containMs: number | undefined;
  /** What failed besides, e.g. that the attack got through or the way back did not work. */
  readonly fault?: string;
}

/** How long the neighbours have to accept nothing until the last accepted packet counts as the last. */
const quietMs = 1_500;
const containedWithinMs = 20_000;
const pollMs = 20;

export async function runAttacks(
  world: World,
  rounds: number,
  signal: AbortSignal,
  done: (round: AttackRound, n: number) => void,
): Promise<void> {
  const pollers = startPollers(world);
  await until('gateway-1 reads the PLC and the HMI', async () => await Promise.resolve(pollers.read()));
  for (let n = 1; n <= rounds && !signal.aborted; n += 1) {
    const action = hostileActions[(n - 1) % hostileActions.length] ?? hostileActions[0];
    const { containMs, fault } = await attackOnce(world, action, n);
    const wayBack = (await comeBack(world, pollers)) ?? (await setPointFault(world));
    const faults = [fault, wayBack].filter((text) => text !== undefined);
    done({ action, containMs, ...(faults.length === 0 ? {} : { fault: faults.join('; ') }) }, n);
    if (wayBack !== undefined) break;
  }
  await pollers.stop();
}

/** Granted readers on gateway-1 that never stop, so that there is always a packet to accept. */
interface Pollers {
  /** Both have read within the last second. */
  read(): boolean;
  stop(): Promise<void>;
}

function startPollers({ net, fleet }: World): Pollers {
  const identity = fleet.paths.identity('gateway-1');
  const web = [addresses['hmi-1'], String(webPort), '/status', String(pollMs), identity.chain, identity.key];
  const modbus = net.spawn('gateway-1', poller(addresses['plc-1'], pollMs));
  const https = net.spawn('gateway-1', [process.execPath, join(import.meta.dirname, 'https-poller.ts'), ...web]);
  const fresh = (process: NetProcess, good: RegExp): boolean => {
    const recent = process
      .output()
      .slice(-2_000)
      .split('\n')
      .filter((line) => line.endsWith('}'));
    return recent
      .slice(-2)
      .some((line) => good.test(line) && Date.now() - Number(/"at": ?(\d+)/.exec(line)?.[1]) < 1_000);
  };
  return {
    read: () => fresh(modbus, /"ok": true/) && fresh(https, /"status":200/),
    stop: async () => void (await Promise.all([modbus.stop(), https.stop()])),
  };
}

interface Probes {
  /** TCP connection attempts as they leave gateway-1, milliseconds. */
  readonly attempts: () => number[];
  /** Packets of gateway-1 that a neighbour's firewall let through to its programs. */
  readonly accepted: () => number[];
  readonly stop: () => Promise<void>;
}

async function openProbes({ net }: World): Promise<Probes> {
  const match = `ip saddr ${addresses['gateway-1']}`;
  const watches: PacketWatch[] = [];
  for (const host of ['plc-1', 'hmi-1'] as const) watches.push(await net.watch(host, { hook: 'input', match }));
  const filter = `src host ${addresses['gateway-1']} and tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn`;
  const dump = net.spawn('gateway-1', ['tcpdump', '-i', 'eth0', '-n', '-tt', '-l', '--immediate-mode', filter]);
  await dump.waitFor(/listening on/);
  return {
    attempts: () => [...dump.output().matchAll(/^(\d{10}\.\d+) /gm)].map((line) => Math.round(Number(line[1]) * 1_000)),
    accepted: () => watches.flatMap((watch) => watch.times()),
    stop: async () => {
      await Promise.all(watches.map(async (watch) => await watch.stop()));
      await dump.stop();
    },
  };
}

async function attackOnce(
  world: World,
  action: HostileAction,
  round: number,
): Promise<Pick<AttackRound, 'containMs' | 'fault'>> {
  const { net, fleet, operator } = world;
  const probes = await openProbes(world);
  try {
    await fleet.stop('gateway-1', 'SIGKILL');
    await net.exec('gateway-1', ['nft', 'delete', 'table', 'inet', 'edgeward']);
    if (probes.accepted().length === 0)
      await until('accepted packets', async () => await Promise.resolve(probes.accepted().length > 0), 3_000);
    const started = Date.now();
    const outcome = await perform(world, action, round);
    if (outcome !== undefined) return { containMs: undefined, fault: outcome };
    const contained = async (): Promise<boolean> => (await operator.device('gateway-1')).state === 'quarantined';
    await until('quarantine', contained, containedWithinMs);
    const lastAccepted = (): number => Math.max(started, ...probes.accepted());
    await until('quiet', async () => await Promise.resolve(Date.now() - lastAccepted() > quietMs), containedWithinMs);
    const first = Math.min(...probes.attempts().filter((at) => at >= started));
    if (!Number.isFinite(first)) return { containMs: undefined, fault: 'the packet probe saw no hostile packet leave' };
    const last = lastAccepted();
    // Silence counts only while somebody knocks.
    if (!probes.attempts().some((at) => at > last))
      return { containMs: undefined, fault: 'nothing tried to get through after the last accepted packet' };
    return { containMs: Math.max(0, last - first) };
  } catch (error) {
    return {
      containMs: undefined,
      fault: `${error instanceof Error ? error.message : String(error)}; ${await situation(world)}`,
    };
  } finally {
    await probes.stop();
  }
}

/** Does it with a foreign client; says so when it got through or when the client did not run. */
async function perform({ net, fleet }: World, action: HostileAction, round: number): Promise<string | undefined> {
  switch (action) {
    case 'refused PLC write': {
      const { code, stdout, stderr } = await net.exec(
        'gateway-1',
        modbusWrite(addresses['plc-1'], setPoint.register, 1_000 + round),
      );
      return code === 0 ? `mbpoll wrote: ${stdout}${stderr}` : undefined;
    }
    case 'forbidden requests': {
      const [program = '', ...options] = fetchPage('/admin/', fleet.paths.identity('gateway-1'));
      const url = options.pop() ?? '';
      const urls = Array.from({ length: 8 }, (_, n) => `${url}round-${round}-${n}`);
      const { stdout } = await net.exec('gateway-1', [program, ...options, '-o', '/dev/null', ...urls]);
      const statuses: readonly string[] = stdout.match(/^\d{3}$/gm) ?? [];
      return statuses.includes('200') || statuses.length === 0 ? `curl: ${statuses.join(' ')}` : undefined;
    }
    case 'port scan': {
      const { stdout } = await net.exec('gateway-1', scanner(addresses['plc-1'], 480, 520, 700));
      const { open } = JSON.parse(stdout) as { open: number[] };
      return open.some((port) => port !== plcPort) ? `the scan found ports ${open.join(', ')}` : undefined;
    }
  }
}

async function setPointFault({ net }: World): Promise<string | undefined> {
  const value = await readSetPoint(net);
  return value === setPoint.value ? undefined : `the set-point of the PLC is ${value}`;
}

/** What can be seen of a containment that did not come. */
async function situation({ fleet, operator }: World): Promise<string> {
  const { state } = await operator.device('gateway-1').catch(() => ({ state: 'unknown' }));
  const spools = await Promise.all((['plc-1', 'hmi-1'] as const).map(async (name) => await fleet.status(name)));
  return `gateway-1 is ${state}; spools ${JSON.stringify(spools.map(({ stream, spool }) => [stream.connected, spool.sequence, spool.acknowledged]))}`;
}

/** The path of the software class: re-imaged with a new key and a new token, attested, released by a person. */
async function comeBack({ net, fleet, operator }: World, pollers: Pollers): Promise<string | undefined> {
  try {
    const directory = join(fleet.paths.edge('gateway-1'), 'state');
    rmSync(directory, { recursive: true });
    const joinLine = await operator.createToken('gateway-1', true);
    await fleet.command('gateway-1', ['enroll', '--state', directory], joinLine);
    await fleet.start('gateway-1');
    const attested = async (): Promise<string | undefined> => {
      const { state, attestationClass } = await operator.device('gateway-1');
      return attestationClass === 'software' && (state === 'recovering' || state === 'trusted') ? state : undefined;
    };
    // Trusted at once is only who was not contained.
    const state = await until('attested after the re-image', attested, 30_000);
    if (state === 'recovering') {
      await operator.release('gateway-1', 're-imaged and checked', false);
      await operator.release('gateway-1', 'nothing is left', true);
    }
    await until('gateway-1 reads again', async () => await Promise.resolve(pollers.read()), 30_000);
    await delay(200);
    return undefined;
  } catch (error) {
    return `the way back: ${error instanceof Error ? error.message : String(error)}; ${fleet.outputOf('gateway-1').slice(-500)}; ${(await net.exec('gateway-1', ['nft', 'list', 'tables'])).stdout}`;
  }
}
