// npm run soak -- loop --json
// The closed loop under attack, publication, kill -9 and power cuts, for as long as it takes; every figure beside its goal.
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { edges } from '../demo/site.ts';
import { runPowerCuts } from '../test/audit/power-cuts.ts';
import { hasCapability } from '../test/support/capabilities.ts';
import { allMet, benchDocument, type Figure, writeDocument } from './machine.ts';
import { type AttackRound, runAttacks } from './soak/attacks.ts';
import {
  attackFigures,
  killFigures,
  noKillFigures,
  noPowerCutFigures,
  powerCutFigures,
  publishFigures,
  type Wanted,
} from './soak/figures.ts';
import { runKills } from './soak/kills.ts';
import { type Publication, runPublishes } from './soak/publishes.ts';
import { buildNetwork, fleetOf, openWorld, type World } from './soak/world.ts';

const usage = `usage: npm run soak -- loop [--json] [--attacks N] [--publishes N] [--kills N] [--power-cuts N] [--quick] [--database URL] [--logs DIR]
  --attacks      taken-over gateways, one after the other (100)
  --publishes    publications that open and close paths (20)
  --kills        random kill -9 of control plane and edges under load (200)
  --power-cuts   simulated power cuts of the spool (1000)
  --quick        5, 3, 6 and 50 of them
  --database     of the control plane; SQLite without it
  --logs         where the logs of control plane and edges are left
`;
const needed = ['root', 'linux', 'nft', 'netns', 'nginx', 'pymodbus', 'mbpoll', 'curl', 'openssl', 'tcpdump'] as const;
/** What one of each takes on two busy cores, milliseconds: for the estimate alone. */
const costs: Readonly<Record<keyof Wanted, number>> = { attacks: 6_000, publishes: 2_500, kills: 2_600, powerCuts: 2 };

interface Options extends Wanted {
  readonly json: boolean;
  readonly database: string | undefined;
  readonly logs: string | undefined;
}

function readOptions(argv: readonly string[]): Options | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        attacks: { type: 'string' },
        publishes: { type: 'string' },
        kills: { type: 'string' },
        'power-cuts': { type: 'string' },
        database: { type: 'string' },
        logs: { type: 'string' },
      },
    });
    if (positionals.length !== 1 || positionals[0] !== 'loop') return undefined;
    const count = (text: string | undefined, full: number, quick: number): number => {
      const value = text === undefined ? (values.quick ? quick : full) : Number(text);
      if (!Number.isInteger(value) || value < 0) throw new TypeError(`${text} is no count`);
      return value;
    };
    return {
      json: values.json,
      database: values.database,
      logs: values.logs,
      attacks: count(values.attacks, 100, 5),
      publishes: count(values.publishes, 20, 3),
      kills: count(values.kills, 200, 6),
      powerCuts: count(values['power-cuts'], 1_000, 50),
    };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return undefined;
  }
}

const started = performance.now();
function say(line: string): void {
  const seconds = ((performance.now() - started) / 1_000).toFixed(0);
  process.stderr.write(`${seconds.padStart(5)} s  ${line}\n`);
}

function tell(figures: readonly Figure[]): Figure[] {
  for (const { id, value, unit, goal, met, reason } of figures) {
    say(
      `${met === false ? '✗' : '✓'} ${id}: ${value === null ? 'not measured' : `${value} ${unit}`}${reason === undefined ? '' : ` (${reason})`}  goal: ${goal ?? 'none'}`,
    );
  }
  return [...figures];
}

/** Runs the parts in turn; one that throws leaves its figures unmeasured and the others alone. */
async function soak(options: Options, signal: AbortSignal): Promise<Figure[]> {
  const figures: Figure[] = [];
  figures.push(...tell(await powerCutPart(options.powerCuts)));
  const missing = needed.filter((name) => !hasCapability(name));
  if (missing.length > 0) {
    const reason = `requires ${missing.join(', ')}`;
    return [...figures, ...tell([...attackFigures([], 0), ...publishFigures([], 0), ...noKillFigures(reason)])];
  }
  const scratch = mkdtempSync(join(tmpdir(), 'ew-soak-'));
  const net = await buildNetwork();
  const ended = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('interrupted')), { once: true });
  });
  ended.catch(() => undefined);
  const bounded = async <T>(work: Promise<T>): Promise<T> => {
    work.catch(() => undefined);
    return await Promise.race([work, ended]);
  };
  const rounds: AttackRound[] = [];
  const publications: Publication[] = [];
  let kills = noKillFigures('no process was killed');
  const fleet = fleetOf(net, scratch);
  const keepLog = (name: string, text: string): void => {
    if (options.logs !== undefined) appendFileSync(join(options.logs, `${name}.log`), text);
  };
  if (options.logs !== undefined) mkdirSync(options.logs, { recursive: true });
  try {
    const world = await bounded(openWorld(net, fleet, { scratch, database: options.database, say, keepLog }));
    await part('attacks', signal, async () => await bounded(attackPart(world, options.attacks, signal, rounds)));
    tell(attackFigures(rounds, options.attacks));
    await part(
      'publications',
      signal,
      async () => await bounded(publishPart(world, options.publishes, signal, publications)),
    );
    tell(publishFigures(publications, options.publishes));
    await part('kills', signal, async () => {
      if (options.kills === 0) return;
      kills = await bounded(runKills(world, options.kills, signal)).then(
        (result) => killFigures(result, options.kills),
        (error: unknown) => noKillFigures(`stopped: ${error instanceof Error ? error.message : String(error)}`),
      );
    });
    tell(kills);
  } catch (error) {
    say(`stopped: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await net.close();
    for (const name of ['control', ...edges] as const) keepLog(name, fleet.outputOf(name));
    rmSync(scratch, { recursive: true, force: true });
  }
  return [
    ...attackFigures(rounds, options.attacks),
    ...publishFigures(publications, options.publishes),
    ...kills,
    ...figures,
  ];
}

async function part(name: string, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  if (signal.aborted) return;
  say(name);
  await work().catch((error: unknown) => say(`✗ ${name}: ${error instanceof Error ? error.message : String(error)}`));
}

async function attackPart(world: World, count: number, signal: AbortSignal, rounds: AttackRound[]): Promise<void> {
  if (count === 0) return;
  await runAttacks(world, count, signal, (round, n) => {
    rounds.push(round);
    say(
      `attack ${n} of ${count}, ${round.action}: ${round.containMs === undefined ? 'not contained' : `contained in ${round.containMs} ms`}${round.fault === undefined ? '' : `; ${round.fault}`}`,
    );
  });
}

async function publishPart(
  world: World,
  count: number,
  signal: AbortSignal,
  publications: Publication[],
): Promise<void> {
  if (count === 0) return;
  await runPublishes(world, count, signal, (publication, n) => {
    publications.push(publication);
    say(
      `publication ${n} of ${count}: ${publication.fault ?? `enforced everywhere in ${publication.enforcedMs} ms (probes alone ${publication.probedMs} ms)`}`,
    );
  });
}

async function powerCutPart(cuts: number): Promise<Figure[]> {
  if (cuts === 0) return noPowerCutFigures('no power was cut');
  const seed = Math.floor(Math.random() * 2 ** 31);
  say(`${cuts} power cuts, seed ${seed}`);
  try {
    return powerCutFigures(await runPowerCuts({ cuts, seed }), cuts, seed);
  } catch (error) {
    return noPowerCutFigures(error instanceof Error ? error.message : String(error));
  }
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    process.stderr.write(usage);
    process.exitCode = 2;
    return;
  }
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(1);
    say('interrupted; cleaning up');
    stop.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  // What was under way when the world was taken away has nobody left to tell.
  process.on('unhandledRejection', (error) => {
    if (!stop.signal.aborted)
      say(`unexpected: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  });
  const seconds = (Object.keys(costs) as (keyof Wanted)[]).reduce(
    (sum, name) => sum + (options[name] * costs[name]) / 1_000,
    25,
  );
  say(`about ${Math.ceil(seconds / 60)} minutes`);
  const figures = await soak(options, stop.signal);
  const document = benchDocument('loop', figures);
  if (options.json) await writeDocument(document);
  process.exit(allMet(document) && !stop.signal.aborted ? 0 : 1);
}

await main();
