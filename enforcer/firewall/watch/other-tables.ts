// What the other tables of this host do to packets that ours lets through, as far as their rules show it without a packet:
// base chains that drop, and those that come before one of ours and take packets away from connection tracking, mark
// them, or lead them elsewhere. A list of what to look at, not a proof.
import { exchange } from '../../../runtime/linux-netlink.ts';
import type { NetlinkSocket } from '../../../runtime/linux-netlink.ts';
import { attributesOf, eachAttribute, NetlinkWriter, NLM_F, textOf } from '../../../runtime/linux-netlink-wire.ts';
import { firewallErrors } from '../errors.ts';
import { printable } from './commits.ts';

export type Effect = 'drop' | 'notrack' | 'packet-mark' | 'connection-mark' | 'dnat' | 'redirect';

/** Lines that are told; more are counted in the last. */
export const MAX_FINDINGS = 100;

interface OtherChain {
  readonly family: number;
  readonly table: string;
  readonly name: string;
  /** Absent where only rules lead to it. */
  readonly base?: { readonly hook: number; readonly priority: number; readonly drops: boolean };
  readonly effects: Set<Effect>;
  readonly leads: Set<string>;
  /** Leads wherever a map says. */
  anywhere: boolean;
}

const GET = { table: 1, chain: 4, rule: 7 } as const;
const SUBSYS = 10 << 8;
const BODY = 4;
const DORMANT = 1;

const families = new Map([
  [1, 'inet'],
  [2, 'ip'],
  [3, 'arp'],
  [5, 'netdev'],
  [7, 'bridge'],
  [10, 'ip6'],
]);
const inetHooks = ['prerouting', 'input', 'forward', 'output', 'postrouting', 'ingress'];
const NETDEV = 5;
const ARP = 3;

/** `own` is our table, which is left out. Throws FIREWALL_PERMISSION, FIREWALL_KERNEL_REFUSED, LINUX_NETLINK_*. */
export function otherTables(
  socket: Pick<NetlinkSocket, 'send' | 'read'>,
  own: { family: number; table: string },
): string[] {
  const sleeping = new Set<string>();
  dump(socket, GET.table, (family, payload) => {
    const table = attributesOf(payload, BODY);
    if (((table.get(2)?.readUInt32BE() ?? 0) & DORMANT) !== 0)
      sleeping.add(`${family} ${textOf(table.get(1), 'table')}`);
  });
  const chains = new Map<string, OtherChain>();
  const isOther = (family: number, table: string): boolean =>
    !(family === own.family && table === own.table) && !sleeping.has(`${family} ${table}`);
  dump(socket, GET.chain, (family, payload) => {
    const chain = attributesOf(payload, BODY);
    const table = textOf(chain.get(1), 'table');
    if (!isOther(family, table)) return;
    const name = textOf(chain.get(3), 'chain');
    const hook = chain.get(4);
    const base = hook === undefined ? {} : { base: baseOf(attributesOf(hook), chain.get(5)) };
    const fresh: OtherChain = { family, table, name, ...base, effects: new Set(), leads: new Set(), anywhere: false };
    chains.set(`${family} ${table} ${name}`, fresh);
  });
  dump(socket, GET.rule, (family, payload) => {
    const rule = attributesOf(payload, BODY);
    const chain = chains.get(`${family} ${textOf(rule.get(1), 'table')} ${textOf(rule.get(2), 'chain')}`);
    const expressions = rule.get(4);
    if (chain === undefined || expressions === undefined) return;
    eachAttribute(expressions, 0, expressions.length, (_, start, end) => {
      const expression = attributesOf(expressions, start, end);
      note(chain, textOf(expression.get(1), 'expression'), expression.get(2));
    });
  });
  const lines = [...chains.values()].flatMap((chain) => findings(chain, chains)).sort();
  const rest = lines.length - MAX_FINDINGS;
  return rest > 0 ? [...lines.slice(0, MAX_FINDINGS), `and ${rest} more`] : lines;
}

function dump(
  socket: Pick<NetlinkSocket, 'send' | 'read'>,
  what: number,
  take: (family: number, payload: Buffer) => void,
): void {
  const request = new NetlinkWriter(64)
    .begin(SUBSYS | what, NLM_F.request | NLM_F.ack | NLM_F.dump)
    .netfilter(0)
    .finish();
  const [refusal] = exchange(socket, request, { answer: ({ payload }) => take(payload[0] ?? 0, payload) });
  if (refusal === undefined) return;
  const code = refusal.errno === 'EPERM' ? 'FIREWALL_PERMISSION' : 'FIREWALL_KERNEL_REFUSED';
  throw firewallErrors.error(code, `list the tables: ${refusal.errno}`);
}

function baseOf(hook: ReadonlyMap<number, Buffer>, policy: Buffer | undefined): NonNullable<OtherChain['base']> {
  return {
    hook: hook.get(1)?.readUInt32BE() ?? 0,
    priority: hook.get(2)?.readInt32BE() ?? 0,
    drops: policy !== undefined && policy.readUInt32BE() === 0,
  };
}

const META_MARK = 3;
const CT_MARK = 3;
const number = (value: Buffer | undefined): number | undefined =>
  value?.length === 4 ? value.readUInt32BE() : undefined;

/** Targets of iptables-nft that are not expressions of nf_tables. */
const targets: Readonly<Record<string, Effect>> = {
  REJECT: 'drop',
  NFQUEUE: 'drop',
  DNAT: 'dnat',
  REDIRECT: 'dnat',
  TPROXY: 'redirect',
  TEE: 'redirect',
  NOTRACK: 'notrack',
  CT: 'notrack',
  MARK: 'packet-mark',
  CONNMARK: 'connection-mark',
};

function note(chain: OtherChain, name: string, data: Buffer | undefined): void {
  const given = data === undefined ? new Map<number, Buffer>() : attributesOf(data);
  const effect = effectOf(name, given);
  if (effect !== undefined) chain.effects.add(effect);
  if (name === 'immediate') {
    const verdict = attributesOf(given.get(2) ?? Buffer.alloc(0)).get(2);
    const parts = verdict === undefined ? undefined : attributesOf(verdict);
    const to = parts?.get(2);
    if (to !== undefined) chain.leads.add(textOf(to, 'chain'));
  }
  // A lookup whose answer is a verdict.
  if (name === 'lookup' && number(given.get(3)) === 0) chain.anywhere = true;
}

function effectOf(name: string, given: ReadonlyMap<number, Buffer>): Effect | undefined {
  switch (name) {
    case 'immediate': {
      const verdict = attributesOf(given.get(2) ?? Buffer.alloc(0)).get(2);
      const code = verdict === undefined ? undefined : attributesOf(verdict).get(1);
      // NF_DROP, and NF_QUEUE with its number in the upper half.
      return code?.length === 4 && [0, 3].includes(code.readUInt32BE() & 0xffff) && code.readInt32BE() >= 0
        ? 'drop'
        : undefined;
    }
    case 'reject':
    case 'queue':
    case 'synproxy':
      return 'drop';
    case 'notrack':
      return 'notrack';
    case 'meta':
      return given.has(3) && number(given.get(2)) === META_MARK ? 'packet-mark' : undefined;
    case 'ct':
      return given.has(4) && number(given.get(2)) === CT_MARK ? 'connection-mark' : undefined;
    case 'nat':
      return number(given.get(1)) === 1 ? 'dnat' : undefined;
    case 'redir':
      return 'dnat';
    case 'tproxy':
    case 'fwd':
    case 'dup':
    case 'flow_offload':
      return 'redirect';
    case 'target':
      return targets[textOf(given.get(1), 'target')];
    default:
      return undefined;
  }
}

const words: Readonly<Record<Effect, string>> = {
  drop: 'accepted by us, dropped by',
  notrack: 'taken away from connection tracking before us by',
  'packet-mark': 'packet mark set before us by',
  'connection-mark': 'connection mark set before us by',
  dnat: 'destination translated before us by',
  redirect: 'led past us by',
};

function findings(chain: OtherChain, chains: ReadonlyMap<string, OtherChain>): string[] {
  const { base, family, table, name } = chain;
  if (base === undefined || family === ARP) return [];
  const hook = family === NETDEV ? (['ingress', 'egress'][base.hook] ?? '') : (inetHooks[base.hook] ?? '');
  const place = `table ${families.get(family) ?? family} ${printable(table)} chain ${printable(name)} (${hook}, priority ${base.priority})`;
  const effects = reached(chain, chains);
  const lines = [...effects]
    .filter((effect) => effect === 'drop' || effect === 'redirect' || isBefore(hook, base.priority))
    .map((effect) => `${words[effect]} ${place}`);
  return base.drops ? [...lines, `${words.drop} ${place}: policy drop`] : lines;
}

/** One of our chains comes after it: those of prerouting at -150, the others at 0. */
const isBefore = (hook: string, priority: number): boolean =>
  hook === 'ingress' || hook === 'prerouting' || (['input', 'forward', 'output'].includes(hook) && priority < 0);

function reached(from: OtherChain, chains: ReadonlyMap<string, OtherChain>): Set<Effect> {
  const effects = new Set<Effect>();
  const seen = new Set<OtherChain>([from]);
  for (const chain of seen) {
    for (const effect of chain.effects) effects.add(effect);
    const next = chain.anywhere
      ? [...chains.values()].filter(
          (other) => other.base === undefined && other.family === from.family && other.table === from.table,
        )
      : [...chain.leads].map((name) => chains.get(`${chain.family} ${chain.table} ${name}`));
    for (const other of next) if (other !== undefined) seen.add(other);
  }
  return effects;
}
