// edgeward edge island on|off, edgeward edge pardon: what root on a device says to its edge, also while none runs.
import { mkdir, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { type Command, Argument } from 'commander';
import { CodedError } from '../runtime/errors.ts';
import type { LearnedDocument } from '../bin/edge/learned.ts';
import { cliErrors } from './errors.ts';
import { postToEdge } from './edge-socket.ts';
import { createIo, timeText } from './io.ts';
import { notBlank } from './options.ts';

interface LocalOptions {
  readonly config: string;
  readonly reason: string;
  readonly json: boolean;
}

export interface IslandDocument {
  readonly active: boolean;
  readonly entries: readonly {
    readonly cause: string;
    readonly by: string;
    readonly reason: string;
    readonly since: number;
    readonly secondsLeft?: number;
  }[];
}

/** The user of this process, and whom sudo knows behind it. */
function whoAsks(): string {
  const { username } = userInfo();
  const behind = process.env['SUDO_USER'];
  return behind === undefined || behind === username ? username : `${username} (sudo: ${behind})`;
}

const local = (command: Command): Command =>
  command
    .requiredOption('--config <file>', 'configuration of the edge; see examples/config/edge.yaml')
    .requiredOption('--reason <text>', 'why; goes into audit', notBlank)
    .option('--json', 'one JSON document on standard output', false);

export function registerEdgeLocal(edge: Command): void {
  local(edge.command('island'))
    .description('cut everything but safety operations on this device, or end that; works also while no edge runs')
    .addArgument(new Argument('<state>', 'on, or off for what was entered here').choices(['on', 'off']))
    .action(async (action: 'on' | 'off', { config: file, reason, json }: LocalOptions) => {
      const { edgePaths, loadEdgeConfig } = await import('../bin/edge/config.ts');
      const config = await loadEdgeConfig(file);
      const request = { action, reason, by: whoAsks() };
      const { island, edge: running } = await postToEdge<{ island: IslandDocument }>(
        edgePaths(config).localSocket,
        '/island',
        JSON.stringify(request),
        'local orders',
      ).then(
        (answer) => ({ ...answer, edge: true }),
        async (error: unknown) => {
          if (!(error instanceof CodedError && error.code === 'CLI_EDGE_UNREACHABLE')) throw error;
          const { islandWithoutEdge } = await import('../bin/edge/island-without-edge.ts');
          return { island: await islandWithoutEdge(config, request), edge: false };
        },
      );
      const text = island.active ? islandText(island).join('\n') : 'this device is not in island mode';
      const where = running ? '' : '\nno edge runs here: the kernel has it, and the next start will';
      createIo(json).result({ ok: true, running, island }, `${text}${where}`);
    });

  local(edge.command('pardon'))
    .description('let an address in again that this device blocked by itself')
    .argument('<address>')
    .action(async (address: string, { config: file, reason, json }: LocalOptions) => {
      const { edgePaths, loadEdgeConfig } = await import('../bin/edge/config.ts');
      const socket = edgePaths(await loadEdgeConfig(file)).localSocket;
      const body = JSON.stringify({ address, reason, by: whoAsks() });
      const { pardoned } = await postToEdge<{ pardoned: boolean }>(socket, '/pardon', body, 'local orders');
      createIo(json).result(
        { ok: true, address, pardoned },
        pardoned ? `${address} is not blocked any more` : `${address} was not blocked by this device`,
      );
    });
}

export function registerEdgeLearned(edge: Command): void {
  edge
    .command('learned')
    .description(
      'what the proxies of this device saw while they learn, as interfaces and grants for a policy repository',
    )
    .requiredOption('--config <file>', 'configuration of the edge; see examples/config/edge.yaml')
    .option('--interface <name>', 'this one alone')
    .option('--write <repository>', 'write the files into this policy repository; never over one that is there')
    .option('--forget', 'begin anew after showing', false)
    .option('--json', 'one JSON document on standard output', false)
    .action(async (options: LearnedOptions) => {
      const { edgePaths, loadEdgeConfig } = await import('../bin/edge/config.ts');
      const socket = edgePaths(await loadEdgeConfig(options.config)).localSocket;
      const ask = async (forget: boolean): Promise<LearnedDocument> =>
        await postToEdge<LearnedDocument>(
          socket,
          '/learned',
          JSON.stringify({ interface: options.interface, forget }),
          'local orders',
        );
      const { since, interfaces, files } = await ask(false);
      if (options.write !== undefined) await writeProposal(options.write, files);
      if (options.forget) await ask(true);
      const written = options.write === undefined ? [] : files.map(({ path }) => `written: ${path}`);
      const shown = options.write === undefined ? files.map(({ path, text }) => `# ${path}\n${text}`) : written;
      const nothing =
        'nothing was seen: interfaces are learned in observe mode, or with learn: true in the configuration';
      createIo(options.json).result(
        { ok: true, since, interfaces, files },
        files.length === 0 ? nothing : shown.join('\n'),
      );
    });
}

interface LearnedOptions {
  readonly config: string;
  readonly interface?: string;
  readonly write?: string;
  readonly forget: boolean;
  readonly json: boolean;
}

/** What an edge proposes; it says no other places, and root may be the one who writes. */
const proposedPath = /^(interfaces|grants)\/learned\.yaml$/;

/** `wx`: a file that somebody has written already stays as it is. */
async function writeProposal(repository: string, files: LearnedDocument['files']): Promise<void> {
  for (const { path, text } of files) {
    if (!proposedPath.test(path)) {
      throw cliErrors.error(
        'CLI_FILE_FAILED',
        `${JSON.stringify(path)}: the edge proposes a file that is none of its own`,
      );
    }
    const target = join(repository, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, text, { flag: 'wx' }).catch((cause: unknown) => {
      throw cliErrors.error(
        'CLI_FILE_FAILED',
        `${target}: ${cause instanceof Error ? cause.message : 'cannot be written'}`,
        {
          cause,
        },
      );
    });
  }
}

/** Loud lines for `edge status`. */
export const islandText = ({ entries }: IslandDocument): string[] =>
  entries.map(({ cause, by, reason, since, secondsLeft }) => {
    const end =
      secondsLeft === undefined
        ? cause === 'ordered'
          ? 'until an order ends it'
          : 'until it is left'
        : `for ${secondsLeft} s more`;
    return `ISLAND    ${cause} by ${by} since ${timeText(since)} ${end}: ${reason}`;
  });
