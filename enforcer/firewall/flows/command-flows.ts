// Ends flows with conntrack(8) and ss(8), where netlink is not at hand (no koffi on this machine). Checked with conntrack
// 1.4.7 and iproute2 6.1.
import type { RunCommand } from '../run.ts';
import type { EndedFlows, EndFlows, FlowTarget } from './end-flows.ts';
import { flowAddress } from './flow-address.ts';
import type { FlowAddress } from './flow-address.ts';

export function commandFlows(run: RunCommand): EndFlows {
  return async (target) => {
    const addresses = target.addresses.map(({ text }) => flowAddress(text));
    // Sockets first: the reset of a flow whose addresses are translated needs its entry to find the peer.
    const sockets = await Promise.all(addresses.map((address) => endSockets(run, address, target)));
    const flows = await Promise.all(addresses.map((address) => endTracked(run, address, target)));
    return [...sockets, ...flows].reduce(
      (all, part) => ({
        sockets: all.sockets + part.sockets,
        flows: all.flows + part.flows,
        failures: [...all.failures, ...part.failures],
      }),
      { sockets: 0, flows: 0, failures: [] },
    );
  };
}

async function endSockets(run: RunCommand, address: FlowAddress, { sparedPorts }: FlowTarget): Promise<EndedFlows> {
  const spared = sparedPorts.map((port) => `and not ( sport = :${port} or dport = :${port} )`).join(' ');
  const peer = address.family === 6 ? `[${address.text}]` : address.text;
  const argv = ['ss', '-K', '-H', '-t', `dst ${peer} ${spared}`.trim()];
  const { code, stdout, stderr } = await run(argv);
  // It lists what it killed.
  const sockets = stdout.split('\n').filter((line) => line.trim() !== '').length;
  return { sockets, flows: 0, failures: code === 0 ? [] : [`${argv.join(' ')}: ${stderr.trim()}`] };
}

/** Its flows, whoever opened them. */
async function endTracked(run: RunCommand, address: FlowAddress, { sparedPorts }: FlowTarget): Promise<EndedFlows> {
  const family = address.family === 6 ? 'ipv6' : 'ipv4';
  const end = sparedPorts.length === 0 ? deleteAll : deleteOthers;
  const sides = await Promise.all(['-s', '-r'].map((side) => end(run, family, [side, address.text], sparedPorts)));
  return {
    sockets: 0,
    flows: sides.reduce((sum, side) => sum + side.flows, 0),
    failures: sides.flatMap((side) => side.failures),
  };
}

type Ended = Pick<EndedFlows, 'flows' | 'failures'>;

async function deleteAll(run: RunCommand, family: string, filter: readonly string[]): Promise<Ended> {
  const { stderr, failures } = await conntrack(run, ['conntrack', '-D', '-f', family, ...filter]);
  return { flows: Number(/ (\d+) flow entries have been deleted/.exec(stderr)?.[1] ?? 0), failures };
}

/** Each by its own ports: the program cannot leave some out. */
async function deleteOthers(
  run: RunCommand,
  family: string,
  filter: readonly string[],
  sparedPorts: readonly number[],
): Promise<Ended> {
  const listed = await conntrack(run, ['conntrack', '-L', '-f', family, ...filter]);
  const deletions = listed.stdout.split('\n').flatMap((line) => deletionOf(line, family, sparedPorts) ?? []);
  if (deletions.length === 0) return { flows: 0, failures: listed.failures };
  // It opens its standard input by name, which works for a pipe and not for the socket that it would get from us.
  const { failures } = await conntrack(run, ['sh', '-c', 'cat | conntrack -R -'], `${deletions.join('\n')}\n`);
  return { flows: deletions.length, failures: [...listed.failures, ...failures] };
}

/** It answers 1 when there is none. */
async function conntrack(
  run: RunCommand,
  argv: readonly string[],
  input?: string,
): Promise<{ readonly stdout: string; readonly stderr: string; readonly failures: readonly string[] }> {
  const { code, stdout, stderr } = await run(argv, input);
  const fine = code === 0 || / 0 flow entries/.test(stderr);
  return { stdout, stderr, failures: fine ? [] : [`${argv.join(' ')}: ${stderr.trim()}`] };
}

/** The order to delete the flow of a listed line, e.g. `udp 17 29 src=… dst=… sport=… dport=… src=… …`. */
export function deletionOf(line: string, family: string, sparedPorts: readonly number[]): string | undefined {
  const protocol = /^\S+\s+(\d+)\s/.exec(line)?.[1];
  const values = (name: string): string[] =>
    [...line.matchAll(new RegExp(` ${name}=([0-9a-f.:]+)(?= |$)`, 'g'))].map((match) => match[1] ?? '');
  const [source] = values('src');
  const [destination] = values('dst');
  if (protocol === undefined || source === undefined || destination === undefined) return undefined;
  const sourcePorts = values('sport');
  // The server's port as filters here see it: where the answers come from.
  if (sparedPorts.includes(Number(sourcePorts[1]))) return undefined;
  const ports = [
    ['--sport', sourcePorts[0]],
    ['--dport', values('dport')[0]],
    [family === 'ipv6' ? '--icmpv6-type' : '--icmp-type', values('type')[0]],
    [family === 'ipv6' ? '--icmpv6-code' : '--icmp-code', values('code')[0]],
    [family === 'ipv6' ? '--icmpv6-id' : '--icmp-id', values('id')[0]],
  ].flatMap(([option, value]) => (value === undefined ? [] : [option, value]));
  return ['-D', '-f', family, '-p', protocol, '-s', source, '-d', destination, ...ports].join(' ');
}
