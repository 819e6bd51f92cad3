// Publications that open and close one path into each edge at once, timed from the end of the publish command until a
// foreign probe has met the change on every edge and policy status shows every acknowledgement.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../test/support/until.ts';
import { addresses, type EdgeName, edges } from '../../demo/site.ts';
import { markPort, neighbour, soakGrants, type World } from './world.ts';

export interface Publication {
  /** Completion of the command to the last of probes and acknowledgements; undefined when one never came. */
  readonly enforcedMs: number | undefined;
  /** The same for the probes alone. */
  readonly probedMs: number;
  readonly commandMs: number;
  readonly fault?: string;
}

const withinMs = 15_000;
const probeMs = 20;

export async function runPublishes(
  world: World,
  count: number,
  signal: AbortSignal,
  done: (publication: Publication, n: number) => void,
): Promise<void> {
  const { fleet } = world;
  for (let n = 1; n <= count && !signal.aborted; n += 1) {
    const opens = n % 2 === 1;
    writeFileSync(join(fleet.paths.policy, 'grants/soak.yaml'), soakGrants(opens));
    await fleet.editPolicy('grants/cell.yaml', (text) => text, `${opens ? 'open' : 'close'} the marks (${n})`);
    done(await publishOnce(world, opens), n);
    await delay(300);
  }
}

async function publishOnce(world: World, opens: boolean): Promise<Publication> {
  for (const edge of edges) {
    if ((await isOpen(world, edge, opens)) === opens)
      return {
        enforcedMs: undefined,
        probedMs: 0,
        commandMs: 0,
        fault: `the mark of ${edge} is ${opens ? 'open' : 'closed'} before`,
      };
  }
  const started = performance.now();
  const { version } = await world.fleet.publish();
  const published = performance.now();
  const since = (): number => Math.round(performance.now() - published);
  try {
    const probes = edges.map(async (edge) => {
      await until(`the mark of ${edge}`, async () => (await isOpen(world, edge, opens)) === opens, withinMs, probeMs);
      return since();
    });
    const acknowledged = async (): Promise<number> => {
      const all = async (): Promise<boolean> => {
        const { enforced } = await world.operator.policyStatus();
        return edges.every((edge) => enforced[edge] === version);
      };
      await until('acknowledgements', all, withinMs, probeMs);
      return since();
    };
    const [acked, ...seen] = await Promise.all([acknowledged(), ...probes]);
    const probedMs = Math.max(...seen);
    return { enforcedMs: Math.max(probedMs, acked), probedMs, commandMs: Math.round(published - started) };
  } catch (error) {
    return {
      enforcedMs: undefined,
      probedMs: 0,
      commandMs: Math.round(published - started),
      fault: error instanceof Error ? error.message : String(error),
    };
  }
}

/** How long a probe waits: long where it has to become sure of a silence, short where it would only miss the opening. */
const silenceMs = 250;
const answerMs = 40;

const isOpen = async ({ net }: World, edge: EdgeName, opening: boolean): Promise<boolean> => {
  const timeoutMs = opening ? answerMs : silenceMs;
  return (await net.probeTcp(neighbour[edge], addresses[edge], markPort, { timeoutMs })) === 'open';
};
