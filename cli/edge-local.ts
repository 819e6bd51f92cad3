// edgeward edge island on|off, edgeward edge pardon: what root on a device says to its edge, also while none runs.
import { userInfo } from 'node:os';
import { type Command, Argument } from 'commander';
import { CodedError } from '../runtime/errors.ts';
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
