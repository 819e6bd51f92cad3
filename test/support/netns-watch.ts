// A witness that is not ours: an nftables table of its own behind every other one in a hook, and tcpdump reading what
// it lets through. It sees the packets that were accepted, and only those.
import type { NetProcess } from './netns-process.ts';

export interface WatchOptions {
  /** Default `input`: what reached this host's own programs. */
  readonly hook?: 'input' | 'output' | 'forward';
  /** nftables match, e.g. `ip saddr 10.20.0.3 tcp dport 502`; default everything but loopback and neighbour discovery. */
  readonly match?: string;
}

export interface PacketWatch {
  /** Exact number of packets since the watch began. */
  count(): Promise<number>;
  /** Wall clock times of the packets in milliseconds, as tcpdump saw them; a few milliseconds behind. */
  times(): number[];
  stop(): Promise<void>;
}

const NFLOG_GROUP = 77;
/** Behind every filter: our own stands at 0, iptables at 0, "security" at 50. */
const PRIORITY = 300;
/** Packets the kernel may hold back; its default lets one wait for a second, and tcpdump stamps it when it comes. */
const QUEUE_THRESHOLD = 1;

let watches = 0;

export async function watchPackets(
  exec: (argv: string[], input?: string) => Promise<string>,
  spawn: (argv: string[]) => NetProcess,
  options: WatchOptions,
): Promise<PacketWatch> {
  watches += 1;
  const table = `watch_${process.pid}_${watches}`;
  const group = NFLOG_GROUP + watches;
  const match =
    options.match ??
    'meta iifname != "lo" icmpv6 type != { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report }';
  const hook = options.hook ?? 'input';
  const tcpdump = spawn(['tcpdump', '-i', `nflog:${group}`, '-n', '-tt', '-l', '-q']);
  await tcpdump.waitFor(/listening on/);
  await exec(
    ['nft', '-f', '-'],
    `table inet ${table} {
  counter seen {
  }
  chain after {
    type filter hook ${hook} priority ${PRIORITY}; policy accept;
    ${match} counter name seen log group ${group} snaplen 96 queue-threshold ${QUEUE_THRESHOLD}
  }
}
`,
  );
  return {
    async count() {
      const listing = await exec(['nft', '-j', 'list', 'counter', 'inet', table, 'seen']);
      return Number(/"packets": ?(\d+)/.exec(listing)?.[1] ?? 'NaN');
    },
    times: () => [...tcpdump.output().matchAll(/^(\d{10}\.\d+) /gm)].map((line) => Math.round(Number(line[1]) * 1_000)),
    async stop() {
      await exec(['nft', 'delete', 'table', 'inet', table]);
      await tcpdump.stop();
    },
  };
}
