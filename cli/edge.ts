// edgeward enroll, edgeward edge run|rules|status, edgeward attest measure
import type { Command } from 'commander';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { type IslandDocument, islandText, registerEdgeLearned, registerEdgeLocal } from './edge-local.ts';
import { cliErrors } from './errors.ts';
import { createIo, timeText } from './io.ts';
import { untilStopped } from './signals.ts';
import { version } from './version.ts';

interface EdgeOptions {
  readonly config: string;
  readonly json: boolean;
}

export function registerEdge(program: Command): void {
  program
    .command('enroll')
    .description(
      'enroll this device: the join line comes from a file, standard input or a prompt, never from the arguments',
    )
    .option('--state <dir>', 'state directory of the edge', '/var/lib/edgeward')
    .option('--token-file <file>', 'file with the join line; - or absent for standard input')
    .option('--json', 'one JSON document on standard output', false)
    .action(async (options: { state: string; tokenFile?: string; json: boolean }) => {
      const [{ enroll }, { nodeFiles }, { systemClock }] = await Promise.all([
        import('../ca/edge/index.ts'),
        import('../store/files.ts'),
        import('../runtime/clock.ts'),
      ]);
      const io = createIo(options.json);
      const joinLine = await readJoinLine(options.tokenFile);
      await nodeFiles.mkdir(options.state);
      const identity = await enroll({
        joinLine,
        state: { fs: nodeFiles, path: options.state },
        clock: systemClock,
        agentVersion: version,
      });
      io.result(
        {
          ok: true,
          spiffeId: identity.id.uri,
          serial: identity.leaf.serialHex,
          notAfter: identity.leaf.notAfter,
          state: options.state,
        },
        `enrolled as ${identity.id.uri} until ${timeText(identity.leaf.notAfter)}\nnext: edgeward edge run --config edge.yaml`,
      );
    });

  const edge = program.command('edge').description('the enforcer beside the workloads');

  edge
    .command('run')
    .description('run the edge until SIGTERM; rules stay in force when it ends')
    .requiredOption('--config <file>', 'configuration; see examples/config/edge.yaml')
    .option('--check', 'check the configuration and end; changes nothing', false)
    .option('--json', 'one JSON document on standard output (with --check)', false)
    .action(async (options: EdgeOptions & { check: boolean }) => {
      if (options.check) {
        const { loadEdgeConfig } = await import('../bin/edge/config.ts');
        const config = await loadEdgeConfig(options.config);
        createIo(options.json).result({ ok: true, config }, `${options.config} is fine`);
        return;
      }
      const { runEdgeNode } = await import('../bin/edge-node.ts');
      await untilStopped(async (signal) => await runEdgeNode(options.config, signal));
    });

  edge
    .command('rules')
    .description('put the last good packet rules, else lock-down, in force and end; before any network')
    .requiredOption('--config <file>', 'configuration; see examples/config/edge.yaml')
    .option('--json', 'one JSON document on standard output', false)
    .action(async (options: EdgeOptions) => {
      const { raiseEdgeRules } = await import('../bin/edge-node.ts');
      const rules = await raiseEdgeRules(options.config);
      createIo(options.json).result({ ok: true, rules }, `rules in force: ${rules}`);
    });

  edge
    .command('standby')
    .description(
      'stand in for the edge while it is dead, and end it when it hangs; a process of its own, until SIGTERM',
    )
    .requiredOption('--config <file>', 'configuration of the edge; see examples/config/edge.yaml')
    .option('--check', 'check whether it could stand in and end; changes nothing', false)
    .option('--json', 'one JSON document on standard output (with --check)', false)
    .action(async (options: EdgeOptions & { check: boolean }) => {
      const { checkStandby, runStandby } = await import('../bin/edge-standby.ts');
      if (options.check) {
        const interfaces = await checkStandby(options.config);
        createIo(options.json).result({ ok: true, interfaces }, `stands in for ${interfaces.join(', ')}`);
        return;
      }
      await untilStopped(async (signal) => await runStandby(options.config, signal));
    });

  edge
    .command('status')
    .description('what this edge enforces now')
    .requiredOption('--config <file>', 'configuration; see examples/config/edge.yaml')
    .option('--json', 'one JSON document on standard output', false)
    .action(async (options: EdgeOptions) => {
      const { loadEdgeConfig } = await import('../bin/edge/config.ts');
      const config = await loadEdgeConfig(options.config);
      const url = `http://127.0.0.1:${config.diagnostics}/status`;
      const response = await fetch(url, { signal: AbortSignal.timeout(3_000) }).catch((cause: unknown) => {
        throw cliErrors.error('CLI_EDGE_UNREACHABLE', `no edge answers at ${url}`, { cause });
      });
      const status = (await response.json()) as EdgeStatus;
      createIo(options.json).result(status, statusText(status));
    });

  registerEdgeLocal(edge);
  registerEdgeLearned(edge);

  program
    .command('attest')
    .description('evidence of this installation')
    .command('measure')
    .description('print reference values of this edge for the policy repository (reference/executables.yaml)')
    .requiredOption('--config <file>', 'configuration; see examples/config/edge.yaml')
    .option('--device <id>', 'the device they hold for; default every device', '*')
    .option('--json', 'one JSON document on standard output', false)
    .action(async (options: EdgeOptions & { device: string }) => {
      const { measureReferenceValues } = await import('../bin/measure.ts');
      const values = await measureReferenceValues(options.config);
      const lines = Object.entries(values).map(
        ([path, digests]) => `    ${JSON.stringify(path)}: [${digests.join(', ')}]`,
      );
      createIo(options.json).result(
        { executables: values },
        ['executables:', `  ${JSON.stringify(options.device)}:`, ...lines].join('\n'),
      );
    });
}

interface OpenGlass {
  readonly profile: string;
  readonly subject: string;
  readonly interface: string;
  readonly operations: readonly string[];
  readonly requestedBy: string;
  readonly approvers: readonly string[];
  readonly secondsLeft: number;
}

interface EdgeStatus {
  readonly device: string;
  readonly serving: boolean;
  /** By what. */
  readonly notReady: Readonly<Record<string, string>>;
  readonly version: number;
  readonly bundle: string;
  readonly observing: readonly string[];
  readonly breakGlass: { readonly open: readonly OpenGlass[]; readonly damaged: boolean };
  readonly island: IslandDocument;
  /** Absent from edges of before. */
  readonly standby?: 'heard' | 'alone' | 'none';
  /** Milliseconds since the epoch. */
  readonly openOnDeath?: readonly { readonly interface: string; readonly until: number }[];
  readonly stream: { readonly connected: boolean; readonly lastError?: { readonly message: string } };
  readonly spool: {
    readonly sequence: number;
    readonly acknowledged: number;
    readonly state: string;
    readonly lost: number;
  };
  /** Absent from edges of before. */
  readonly filtering?: {
    readonly mode: string;
    readonly degraded?: string;
    readonly connections: { readonly judged: number; readonly denied: Readonly<Record<string, number>> };
  };
  readonly firewall:
    | 'off'
    | {
        readonly loaded: boolean;
        readonly contained: Record<string, readonly string[]>;
        readonly denied: Record<string, number>;
        readonly owned?: boolean | 'unsupported';
        /** What other tables of the host do to packets that ours lets through. */
        readonly others?: readonly string[];
        /** Addresses with the seconds left. */
        readonly blocked: Record<string, number>;
      };
}

/** Before everything else: whoever reads one line reads this one. */
export function filteringText(filtering: EdgeStatus['filtering']): string[] {
  if (filtering === undefined || filtering.mode === 'enforce') return [];
  const { mode, degraded, connections } = filtering;
  const denied = Object.values(connections.denied).reduce((sum, count) => sum + count, 0);
  const what =
    mode === 'proxies'
      ? `our own proxies alone refuse (${denied} of ${connections.judged} connections)`
      : mode === 'simulate'
        ? `${denied} of ${connections.judged} connections to our proxies would have been refused`
        : 'nothing of the packet rules is enforced here';
  return [
    `NOT ENFORCED  packets are not filtered on this host, firewall mode ${mode}: ${what}`,
    ...(degraded === undefined ? [] : [`DEGRADED      ${degraded}`]),
  ];
}

const standbyText = {
  heard: ['standby   listens'],
  alone: ['STANDBY   NONE RUNS: when this edge dies, proxied interfaces are shut, emergency stops included'],
  none: [],
} as const;

function firewallText({ firewall, filtering }: EdgeStatus): string {
  if (firewall === 'off') return 'OFF: packets are not filtered on this host';
  if (filtering !== undefined && filtering.mode !== 'enforce') return `NOT IN THE KERNEL (${filtering.mode})`;
  return firewall.loaded ? `in force${firewall.owned === true ? ', owned' : ''}` : 'not loaded';
}

function statusText(status: EdgeStatus): string {
  const { stream, spool, firewall } = status;
  const contained =
    firewall === 'off'
      ? []
      : Object.entries(firewall.contained).flatMap(([kind, devices]) => devices.map((device) => `${device} (${kind})`));
  return [
    ...filteringText(status.filtering),
    `device    ${status.device}`,
    `policy    ${status.version === 0 ? 'none in force: everything is denied' : `version ${status.version}, ${status.bundle.slice(0, 16)}`}`,
    `serving   ${status.serving ? 'yes' : `no: ${Object.values(status.notReady).join('; ')}`}`,
    `cloud     ${stream.connected ? 'connected' : `away${stream.lastError === undefined ? '' : ` (${stream.lastError.message})`}`}`,
    `spool     ${spool.sequence - spool.acknowledged} events waiting, ${spool.lost} lost, ${spool.state}`,
    `firewall  ${firewallText(status)}`,
    ...standbyText[status.standby ?? 'none'],
    ...(status.openOnDeath ?? []).map(
      ({ interface: name, until }) =>
        `OPEN      ${name} IS OPEN TO PACKETS when this edge dies, by a waiver until ${timeText(until)}`,
    ),
    `contained ${contained.join(', ') || 'nobody'}`,
    ...(firewall === 'off' ? [] : (firewall.others ?? []).map((line) => `others    ${line}`)),
    ...blockedText(firewall),
    ...islandText(status.island),
    ...(status.observing.length === 0
      ? []
      : [`OBSERVED  ${status.observing.join(', ')}: denials are logged and let through`]),
    ...status.breakGlass.open.map(
      ({ profile, subject, interface: name, operations, requestedBy, approvers, secondsLeft }) =>
        `BREAK-GLASS  ${profile}: ${subject} may ${operations.join(', ')} on ${name} for ${secondsLeft} s more, ` +
        `asked for by ${requestedBy}, approved by ${approvers.join(', ')}`,
    ),
    ...(status.breakGlass.damaged ? ['BREAK-GLASS  the used tickets cannot be read: none is accepted'] : []),
  ].join('\n');
}

/** The first ten: a flood of invented sources can block thousands. */
function blockedText(firewall: EdgeStatus['firewall']): string[] {
  const blocked = firewall === 'off' ? [] : Object.entries(firewall.blocked);
  if (blocked.length === 0) return [];
  const some = blocked.slice(0, 10).map(([address, seconds]) => `${address} (${seconds} s)`);
  return [
    `blocked   ${some.join(', ')}${blocked.length > some.length ? ` and ${blocked.length - some.length} more` : ''}`,
  ];
}

async function readJoinLine(file: string | undefined): Promise<string> {
  if (file !== undefined && file !== '-') return readFileSync(file, 'utf8').trim();
  if (process.stdin.isTTY) {
    const prompt = createInterface({ input: process.stdin, output: process.stderr });
    // Ctrl-D closes the prompt without an answer.
    const closed = once(prompt, 'close').then(() => '');
    const line = await Promise.race([prompt.question('join line: '), closed]);
    prompt.close();
    if (line.trim() === '') throw cliErrors.error('CLI_INPUT_MISSING', 'no join line was given');
    return line.trim();
  }
  const line = readFileSync(0, 'utf8').trim();
  if (line === '') throw cliErrors.error('CLI_INPUT_MISSING', 'standard input holds no join line');
  return line;
}
