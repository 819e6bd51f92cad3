// Random kill -9 of control plane and edges under load, with probes that have no grant and requests that have one, all
// from outside; then the reckoning of what was acknowledged against the exported log.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readSetPoint } from '../../demo/attack.ts';
import { until } from '../../test/support/until.ts';
import { addresses, edges, maintenancePort, parsePolls, plcPort, poller, setPoint, webPort } from '../../demo/site.ts';
import type { NetProcess } from '../../test/support/netns.ts';
import { spread } from '../machine.ts';
import type { AskerPlan, AskerReport } from './asker-plan.ts';
import { type Reckoning, reckon } from './ledger.ts';
import type { ProbeLine, ProbeTask } from './probe-task.ts';
import { type Outage, type Program, programs, supervise, type Supervised } from './supervise.ts';
import { markPort, neighbour, type SoakHost, withoutPlaybooks, type World } from './world.ts';

export interface KillsResult {
  readonly kills: Readonly<Record<Program, number>>;
  readonly seconds: number;
  /** Milliseconds from a kill until the process served again, by program. */
  readonly outages: Readonly<Record<string, ReturnType<typeof spread>>>;
  /** Ends and failed starts that no kill caused. */
  readonly faults: readonly string[];
  readonly eventsPerSecond: number;
  readonly reckoning: Reckoning;
  /** What `audit verify` said of the exported log. */
  readonly verified: boolean;
  readonly probes: {
    readonly perSecond: number;
    readonly sent: number;
    readonly saw: Readonly<Record<string, number>>;
  };
  readonly wrong: readonly ProbeLine[];
  /** Granted requests outside restart windows, by kind. */
  readonly granted: Readonly<Record<string, Share>>;
  readonly drainSeconds: number;
}

export interface Share {
  readonly asked: number;
  readonly allowed: number;
  /** The same with the restart windows counted in. */
  readonly askedInAll: number;
  readonly allowedInAll: number;
  /** The first few that were not allowed though they should have been. */
  readonly refused: readonly string[];
}

interface GrantedRequest {
  readonly at: number;
  readonly ms: number;
  readonly ok: boolean;
  readonly saw: string;
}

const meanPauseMs = 2_400;
/** A kill waits while more programs than this are away, so that a slow machine is not brought down for good. */
const mostAway = 1;
/** Offered to each edge; what is answered is measured. */
const askedPerSecond = 300;
const drainMs = 300_000;

export async function runKills(world: World, kills: number, signal: AbortSignal): Promise<KillsResult> {
  const { net, fleet, say } = world;
  await withoutPlaybooks(world);
  const checkpoint = join(world.scratch, 'before-kills.checkpoint');
  await fleet.admin('audit', 'checkpoint', '--out', checkpoint);
  const stop = new AbortController();
  const supervised = programs.map((name) => supervise(world, name, Math.random, stop.signal));
  const probers = startProbers(world);
  const pollers = [
    net.spawn('hmi-1', poller(addresses['plc-1'], 50)),
    net.spawn('gateway-1', poller(addresses['plc-1'], 100)),
  ];
  const asker = startAsker(world);
  await delay(2_000);
  const counts = await killAtRandom(supervised, kills, signal, say);
  await until(
    'everything serves again',
    async () => await Promise.resolve(supervised.every((one) => one.serving())),
    60_000,
  );
  await delay(1_500);
  const asked = await asker.stop();
  await Promise.all([...probers, ...pollers].map(async (process) => await process.stop()));
  stop.abort();
  say('load stopped; waiting for the spools');
  const drainSeconds = await drained(world);
  const { reckoning, verified } = await reckonLog(world, asked, checkpoint);
  const lines = probers.flatMap(linesOf);
  const written = await writtenSetPoint(world);
  const outagesOf = (name: Program): readonly Outage[] => supervised.find((one) => one.name === name)?.outages ?? [];
  const seconds = (asked.endedAt - asked.startedAt) / 1_000;
  const ungranted = lines.filter(({ task }) => !task.startsWith('granted'));
  return {
    kills: counts,
    seconds,
    outages: Object.fromEntries(
      supervised.map(({ name, outages }) => [name, spread(outages.map(({ from, to }) => to - from))]),
    ),
    faults: supervised.flatMap(({ faults }) => faults),
    eventsPerSecond: reckoning.acknowledged / seconds,
    reckoning,
    verified,
    probes: { perSecond: ungranted.length / seconds, sent: ungranted.length, saw: tally(ungranted) },
    wrong: [...ungranted.filter(({ accepted }) => accepted), ...written],
    granted: {
      web: shareOf(grantedOf(lines, 'granted web'), outagesOf('hmi-1')),
      modbus: shareOf([...grantedOf(lines, 'granted modbus'), ...pollers.flatMap(pollsOf)], outagesOf('plc-1')),
      asked: joinShares(edges.map((edge) => shareOf(askedOf(asked, edge), outagesOf(edge)))),
    },
    drainSeconds,
  };
}

/** A write that came through without a word would show on the PLC itself. */
async function writtenSetPoint({ net }: World): Promise<ProbeLine[]> {
  const value = await readSetPoint(net);
  if (value === setPoint.value) return [];
  return [{ at: Date.now(), ms: 0, task: 'set-point', accepted: true, saw: String(value) }];
}

async function killAtRandom(
  supervised: readonly Supervised[],
  kills: number,
  signal: AbortSignal,
  say: World['say'],
): Promise<Record<Program, number>> {
  const counts: Record<Program, number> = { control: 0, 'gateway-1': 0, 'plc-1': 0, 'hmi-1': 0 };
  for (let done = 0; done < kills && !signal.aborted;) {
    await delay(meanPauseMs * (0.25 + 1.5 * Math.random()));
    const away = supervised.filter((one) => !one.serving()).length;
    if (away > mostAway) continue;
    // Whoever it is: what is just starting may be struck again.
    const victim = supervised[Math.floor(Math.random() * supervised.length)];
    if (victim === undefined || !victim.kill()) continue;
    done += 1;
    counts[victim.name] += 1;
    if (done % 10 === 0) say(`${done} of ${kills} kills`);
  }
  return counts;
}

/** 120 probes a second where there is no grant, and granted requests beside them, on four hosts. */
function startProbers({ net, fleet }: World): NetProcess[] {
  const plc = { address: addresses['plc-1'], port: plcPort };
  const hmi = { address: addresses['hmi-1'], port: webPort };
  const own = fleet.paths.identity('gateway-1');
  const web = { kind: 'https', ...hmi, keepAlive: true } as const;
  const plan: Partial<Record<SoakHost, ProbeTask[]>> = {
    'gateway-1': [
      { name: 'maintenance port', kind: 'tcp', address: plc.address, port: maintenancePort, perSecond: 20 },
      { name: 'mark port', kind: 'tcp', address: hmi.address, port: markPort, perSecond: 10 },
      { name: 'administration page', ...web, path: '/admin/', identity: own, perSecond: 20 },
      { name: 'page without certificate', ...web, path: '/status', perSecond: 10 },
      { name: 'PLC write', kind: 'modbus-write', ...plc, perSecond: 15 },
      { name: 'granted web kept', ...web, path: '/status', identity: own, perSecond: 20 },
      { name: 'granted web new', ...web, keepAlive: false, path: '/status', identity: own, perSecond: 5 },
      { name: 'granted modbus', kind: 'modbus-read', ...plc, perSecond: 5 },
    ],
    'plc-1': [
      { name: 'page without grant', ...web, path: '/status', identity: fleet.paths.identity('plc-1'), perSecond: 5 },
    ],
    'hmi-1': [{ name: 'granted modbus', kind: 'modbus-read', ...plc, perSecond: 10 }],
    stranger: [
      { name: 'stranger PLC', kind: 'tcp', ...plc, perSecond: 15 },
      { name: 'stranger HMI', kind: 'tcp', ...hmi, perSecond: 15 },
      { name: 'stranger PLC write', kind: 'modbus-write', ...plc, perSecond: 10 },
    ],
  };
  return (Object.entries(plan) as [SoakHost, ProbeTask[]][]).map(([host, tasks]) =>
    net.spawn(host, [process.execPath, join(import.meta.dirname, 'prober.ts'), JSON.stringify(tasks)]),
  );
}

function startAsker({ net, fleet, scratch }: World): { stop(): Promise<AskerReport> } {
  const out = join(scratch, 'asked.json');
  const plan: AskerPlan = {
    targets: edges.map((edge) => ({
      edge,
      socket: join(fleet.paths.edge(edge), 'run/forward-auth.sock'),
      chain: fleet.paths.identity(neighbour[edge]).chain,
      address: addresses[neighbour[edge]],
      perSecond: askedPerSecond,
    })),
    out,
  };
  const file = join(scratch, 'asker-plan.json');
  writeFileSync(file, JSON.stringify(plan));
  // The sockets are files: where the asker stands does not matter.
  const asker = net.spawn('control', [process.execPath, join(import.meta.dirname, 'asker.ts'), file]);
  return {
    stop: async () => {
      asker.child.kill('SIGTERM');
      await asker.exited;
      return JSON.parse(readFileSync(out, 'utf8')) as AskerReport;
    },
  };
}

/** Seconds until the cloud has acknowledged what the spools held when the load stopped. */
async function drained({ fleet }: World): Promise<number> {
  const started = performance.now();
  for (const edge of edges) {
    const { spool } = await fleet.status(edge);
    await until(
      `the spool of ${edge} is delivered`,
      async () => (await fleet.status(edge)).spool.acknowledged >= spool.sequence,
      drainMs,
      500,
    );
  }
  return (performance.now() - started) / 1_000;
}

async function reckonLog(
  world: World,
  asked: AskerReport,
  checkpoint: string,
): Promise<Pick<KillsResult, 'reckoning' | 'verified'>> {
  const { fleet, scratch, say } = world;
  const file = join(scratch, 'log.jsonl');
  const started = performance.now();
  const { verifierKey } = await fleet.admin<{ verifierKey: string }>('audit', 'checkpoint');
  writeFileSync(join(scratch, 'log.key'), verifierKey);
  await longCommand(world, ['audit', 'export', '--out', file, '--identity', fleet.paths.admin]);
  say(`log exported in ${((performance.now() - started) / 1_000).toFixed(0)} s; reckoning`);
  const reckoning = await reckon(file, asked);
  const trust = [
    '--checkpoint',
    checkpoint,
    '--roots',
    join(fleet.paths.admin, 'roots.pem'),
    '--log-key',
    join(scratch, 'log.key'),
  ];
  const verified = await longCommand(world, ['audit', 'verify', file, ...trust]).then(
    () => true,
    (error: unknown) => {
      say(`audit verify: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    },
  );
  return { reckoning, verified };
}

/** A command over the whole log, which may take minutes. */
async function longCommand({ net, scratch }: World, args: readonly string[]): Promise<void> {
  const program = join(import.meta.dirname, '../../bin/edgeward.ts');
  const argv = [process.execPath, '--disallow-code-generation-from-strings', program, ...args, '--json'];
  const { code, stdout, stderr } = await net.exec('control', argv, {
    timeoutMs: 600_000,
    env: { HOME: scratch },
    cwd: scratch,
  });
  if (code !== 0)
    throw new Error(
      `edgeward ${args.slice(0, 2).join(' ')} ended with ${code}: ${stdout.slice(0, 600)} ${stderr.slice(0, 600)}`,
    );
}

const linesOf = (prober: NetProcess): ProbeLine[] =>
  prober
    .output()
    .split('\n')
    .flatMap((line) => (line.startsWith('{') && line.endsWith('}') ? [JSON.parse(line) as ProbeLine] : []));

const grantedOf = (lines: readonly ProbeLine[], prefix: string): GrantedRequest[] =>
  lines
    .filter(({ task }) => task.startsWith(prefix))
    .map(({ at, ms, accepted, saw, task }) => ({ at, ms, ok: accepted, saw: `${task}: ${saw}` }));

const pollsOf = (process: NetProcess): GrantedRequest[] =>
  parsePolls(process.output()).map(({ at, ms, ok, error }) => ({ at, ms, ok, saw: `poller: ${error ?? 'read'}` }));

function askedOf({ targets }: AskerReport, edge: string): GrantedRequest[] {
  const target = targets[edge];
  if (target === undefined) return [];
  const allowed = target.allowedAt.map((at) => ({ at, ms: 0, ok: true, saw: '200' }));
  return [...allowed, ...target.failed.map(({ at, ms, saw }) => ({ at, ms, ok: false, saw: `asked ${edge}: ${saw}` }))];
}

/** A request belongs to a restart window when any moment of it does. */
function shareOf(requests: readonly GrantedRequest[], outages: readonly Outage[]): Share {
  const outside = requests.filter(({ at, ms }) => !outages.some(({ from, to }) => at <= to && at + ms >= from));
  const refused = outside.filter(({ ok }) => !ok);
  const since = (at: number): string => {
    const before = outages.findLast(({ to }) => to <= at);
    return before === undefined ? 'before any kill' : `${at - before.to} ms after a restart`;
  };
  return {
    asked: outside.length,
    allowed: outside.length - refused.length,
    askedInAll: requests.length,
    allowedInAll: requests.filter(({ ok }) => ok).length,
    refused: refused
      .slice(0, 12)
      .map(
        ({ at, ms, saw }) => `${new Date(at).toISOString().slice(11, 23)} ${saw} (${Math.round(ms)} ms, ${since(at)})`,
      ),
  };
}

function joinShares(shares: readonly Share[]): Share {
  const sum = (of: (share: Share) => number): number => shares.reduce((total, share) => total + of(share), 0);
  return {
    asked: sum((share) => share.asked),
    allowed: sum((share) => share.allowed),
    askedInAll: sum((share) => share.askedInAll),
    allowedInAll: sum((share) => share.allowedInAll),
    refused: shares.flatMap(({ refused }) => refused).slice(0, 12),
  };
}

function tally(lines: readonly ProbeLine[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { task, saw } of lines) counts[`${task}: ${saw}`] = (counts[`${task}: ${saw}`] ?? 0) + 1;
  return counts;
}
