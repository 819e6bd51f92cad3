// edgeward firewall show|plan|can
import { isIP } from 'node:net';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { cliErrors } from './errors.ts';
import { formatReach, formatView } from './firewall-text.ts';
import { createIo } from './io.ts';
import { isoTime, wholeNumber } from './options.ts';
import { subjectStates } from './policy-options.ts';
import { loadRooms, mustLoad } from './policy-rooms.ts';

const loadFirewall = async () => await import('../enforcer/firewall/index.ts');
type Firewall = Awaited<ReturnType<typeof loadFirewall>>;
type ReachAnswer = ReturnType<Firewall['canReach']>;
type FirewallView = ReturnType<Firewall['viewOf']>;
type State = Parameters<Firewall['endOfPlan']>[2][string];

interface PolicyOptions {
  readonly json: boolean;
  readonly repository?: string;
  readonly control: readonly string[];
  readonly state: Readonly<Record<string, State>>;
  readonly at?: number;
}

const repositoryOptions = (command: Command): Command =>
  command
    .option('--state <device=state>', 'of a device; default trusted; repeatable', stated, {})
    .option('--control <address:port>', 'where the edges find the control plane; repeatable', listed, [])
    .option('--at <time>', 'ISO time; default now', isoTime)
    .option('--json', 'one JSON document on standard output', false);

export function registerFirewall(program: Command): void {
  const firewall = program
    .command('firewall')
    .description('packet rules: what is loaded, what a policy compiles to, who reaches whom');

  firewall
    .command('show')
    .description('what the kernel of a running edge holds: generations, rules with their line and counters, sets')
    .requiredOption('--config <file>', 'configuration; see examples/config/edge.yaml')
    .option('--json', 'one JSON document on standard output', false)
    .action(async ({ config, json }: { config: string; json: boolean }) => {
      const view = (await askEdge(config, '/firewall')) as FirewallView;
      createIo(json).result(view, formatView(view));
    });

  repositoryOptions(
    firewall
      .command('plan')
      .description('the packet rules that a policy repository gives a device')
      .argument('<dir>')
      .requiredOption('--device <id>', 'the device')
      .addOption(new Option('--nft', 'as nftables text').default(false))
      .option('--diff <dir>', 'only what differs from the plan of another checkout'),
  ).action(async (directory: string, options: PolicyOptions & { device: string; nft: boolean; diff?: string }) => {
    const rooms = await loadFirewall();
    const now = options.at ?? Math.floor(Date.now() / 60_000) * 60_000;
    const planOf = async (place: string) =>
      (await endsOf(rooms, place, [options.device], options, now)).get(options.device)!;
    const { plan } = (await planOf(directory)).state.live;
    const io = createIo(options.json);
    if (options.diff !== undefined) {
      const [before, after] = [rooms.planLines((await planOf(options.diff)).state.live.plan), rooms.planLines(plan)];
      const [old, fresh] = [new Set(before), new Set(after)];
      const changes = [
        ...before.filter((line) => !fresh.has(line)).map((line) => `- ${line}`),
        ...after.filter((line) => !old.has(line)).map((line) => `+ ${line}`),
      ];
      io.result({ changes }, changes.join('\n') || 'the same packet rules');
    } else if (options.nft) {
      const nft = rooms.renderNft(rooms.tableOfPlan(plan), now);
      io.result({ nft }, nft.trimEnd());
    } else io.result(plan, rooms.planLines(plan).join('\n'));
  });

  repositoryOptions(
    firewall
      .command('can')
      .description(
        'whether a device reaches a port of another, and why: by a running edge, or by both ends of a repository',
      )
      .argument('<from>', 'device that opens the connection')
      .argument('<to>', 'device that serves')
      .argument('[port]', 'port; absent for icmp', wholeNumber(1, 65_535))
      .addOption(
        new Option('--protocol <name>').choices(['tcp', 'udp', 'sctp', 'udplite', 'icmp', 'icmpv6']).default('tcp'),
      )
      .option('--repository <dir>', 'a policy repository')
      .option('--config <file>', 'or the configuration of a running edge, which is one of the two'),
  ).action(
    async (
      from: string,
      to: string,
      port: number | undefined,
      options: PolicyOptions & { protocol: 'tcp'; config?: string },
    ) => {
      const { protocol } = options;
      if ((options.repository === undefined) === (options.config === undefined))
        throw cliErrors.error('CLI_USAGE', 'expected exactly one of --repository and --config');
      if ((port === undefined) !== protocol.startsWith('icmp'))
        throw cliErrors.error('CLI_USAGE', 'expected a port, except with icmp and icmpv6');
      const io = createIo(options.json);
      let answer: ReachAnswer;
      if (options.config !== undefined) {
        const query = new URLSearchParams({
          from,
          to,
          protocol,
          ...(port === undefined ? {} : { port: String(port) }),
        });
        answer = (await askEdge(options.config, `/firewall/can?${query.toString()}`)) as ReachAnswer;
      } else {
        const rooms = await loadFirewall();
        const now = options.at ?? Date.now();
        const ends = await endsOf(rooms, options.repository ?? '', [from, to], options, now);
        const question = { from, to, protocol, now, ...(port === undefined ? {} : { port }) };
        answer = rooms.canReach(question, { from: ends.get(from)!, to: ends.get(to)! });
      }
      io.result(answer, formatReach(answer));
    },
  );
}

async function askEdge(configFile: string, path: string): Promise<unknown> {
  const { loadEdgeConfig } = await import('../bin/edge/config.ts');
  const { diagnostics } = await loadEdgeConfig(configFile);
  const url = `http://127.0.0.1:${diagnostics}${path}`;
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) }).catch((cause: unknown) => {
    throw cliErrors.error('CLI_EDGE_UNREACHABLE', `no edge answers at ${url}`, { cause });
  });
  if (!response.ok) {
    const why = 'packets are not filtered there, or neither device is this one';
    throw cliErrors.error('CLI_CHECK_FAILED', `the edge at port ${diagnostics} has no answer: ${why}`);
  }
  return await response.json();
}

/** Plans of some devices of a repository, as their edges would compile them, each with a proxy for every interface that needs one. */
async function endsOf(
  rooms: Firewall,
  directory: string,
  devices: readonly string[],
  { control, state }: PolicyOptions,
  now: number,
): Promise<Map<string, ReturnType<Firewall['endOfPlan']>>> {
  const policy = await loadRooms();
  const { proxiedProtocols } = await import('../policy/bundle/index.ts');
  const repository = mustLoad(policy, await policy.readDirectory(directory));
  const unknown = Object.keys(state).find((id) => repository.devices.every((device) => device.id !== id));
  if (unknown !== undefined)
    throw cliErrors.error('CLI_USAGE', `--state ${unknown}: the inventory of ${directory} has no device ${unknown}`);
  const slices = policy.slicesToAsk(repository, new Set(devices));
  return new Map(
    devices.map((device) => {
      const slice = slices.get(device);
      if (slice === undefined)
        throw cliErrors.error('CLI_CHECK_FAILED', `the inventory of ${directory} has no device ${device}`);
      const all = Object.fromEntries(slice.devices.map(({ id }): [string, State] => [id, state[id] ?? 'trusted']));
      const proxies = slice.interfaces
        .filter((entry) => entry.device === device && proxiedProtocols.has(entry.protocol))
        .map((entry, at) => ({ interface: entry.name, listenPort: 15_502 + at }));
      const plan = rooms.compileFirewall(
        slice,
        { epoch: 1, now, ordersSequence: 0, states: all },
        { localDeviceId: device, controlEndpoints: control.map(endpointOf), proxies },
      );
      return [device, rooms.endOfPlan(plan, slice, all)];
    }),
  );
}

function stated(text: string, known: Readonly<Record<string, State>>): Record<string, State> {
  const [, device = '', name = ''] = /^([a-z0-9][a-z0-9._-]*)=([a-z]+)$/.exec(text) ?? [];
  const state = subjectStates.find((entry) => entry === name);
  if (state === undefined) throw new InvalidArgumentError(`Expected a device and one of ${subjectStates.join(', ')}.`);
  return { ...known, [device]: state };
}

function listed(text: string, known: readonly string[]): string[] {
  endpointOf(text);
  return [...known, text];
}

function endpointOf(text: string): { address: string; port: number; transport: 'tcp' } {
  const [, address = '', port = ''] = /^\[?([0-9a-fA-F.:]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  if (isIP(address) === 0 || Number(port) < 1 || Number(port) > 65_535)
    throw new InvalidArgumentError('Expected an address and a port such as 10.0.0.1:8443.');
  return { address, port: Number(port), transport: 'tcp' };
}
