// Writes a plan as nftables text (nft(8), checked with 1.0.6) and as the one transaction that replaces the table.
import { LOG_GROUP, PROXIED_BIT, PROXY_MARK } from './plan.ts';
import type { Chain, Family, Field, FirewallPlan, Match, Rule, SetDefinition, SetElement, Verdict } from './plan.ts';

/** Our table; both families, so that a policy for IPv4 can never leave IPv6 open. */
export const TABLE = 'inet edgeward';

/** Priorities of the hooks: before destination NAT and routing in prerouting, the usual filter place elsewhere. */
const priorities = { prerouting: 'mangle', input: 'filter', forward: 'filter', output: 'filter' } as const;

/**
 * The table as text. `now` turns end dates into the kernel's timers; elements whose time has come are left out.
 * Loading it is one transaction: packets meet the old table or the new one, never none.
 */
export function renderNft(plan: FirewallPlan, now: number = plan.compiledAt): string {
  const lines = [
    // Adding before deleting makes the deletion valid also when there is no table yet.
    `table ${TABLE}`,
    `delete table ${TABLE}`,
    `table ${TABLE} {`,
    `  comment "device ${plan.device}, epoch ${plan.epoch}"`,
    ...plan.sets.flatMap((set) => ['', ...setLines(set, now).map((line) => `  ${line}`)]),
    ...plan.chains.flatMap((chain) => ['', ...chainLines(chain).map((line) => `  ${line}`)]),
    '}',
  ];
  return `${lines.join('\n')}\n`;
}

function setLines(set: SetDefinition, now: number): string[] {
  const live = set.elements.filter((element) => element.until === undefined || element.until > now);
  const flags = [
    ...(set.interval ? ['interval'] : []),
    ...(set.elements.some((element) => element.until !== undefined) ? ['timeout'] : []),
  ];
  return [
    `set ${set.name} {`,
    `  type ${set.type.join(' . ')}`,
    `  comment "${set.purpose}"`,
    ...(flags.length === 0 ? [] : [`  flags ${flags.join(', ')}`]),
    ...(live.length === 0
      ? []
      : ['  elements = {', ...live.map((element) => `    ${elementText(set, element, now)},`), '  }']),
    '}',
  ];
}

/** An element as `nft add element` takes it. */
export function elementText(set: Pick<SetDefinition, 'type'>, element: SetElement, now: number): string {
  const key = element.key.map((value, index) => (set.type[index] === 'ifname' ? `"${value}"` : value)).join(' . ');
  const timeout =
    element.until === undefined ? '' : ` timeout ${Math.max(1, Math.ceil((element.until - now) / 1000))}s`;
  const comment = element.comment === undefined ? '' : ` comment "${element.comment}"`;
  return `${key}${timeout}${comment}`;
}

function chainLines(chain: Chain): string[] {
  const head =
    chain.hook === undefined
      ? []
      : [`  type filter hook ${chain.hook} priority ${priorities[chain.hook]}; policy ${chain.policy ?? 'drop'};`];
  return [`chain ${chain.name} {`, ...head, ...chain.rules.map((rule) => `  ${ruleText(rule)}`), '}'];
}

function ruleText(rule: Rule): string {
  const log = rule.log === undefined ? [] : [`log prefix "ew:${rule.log}" group ${LOG_GROUP}`];
  const [before, after] = verdictText(rule.verdict, rule.family);
  return [...rule.match.map((match) => matchText(match, rule.family)), ...before, 'counter', ...log, after].join(' ');
}

/** What happens before the rule is counted, and the verdict itself. */
function verdictText(verdict: Verdict, family: Family | undefined): [string[], string] {
  switch (verdict.kind) {
    case 'accept':
    case 'drop':
    case 'return':
      return [[], verdict.kind];
    case 'reset':
      return [[], 'reject with tcp reset'];
    case 'goto':
    case 'jump':
      return [[], `${verdict.kind} ${verdict.chain}`];
    case 'to-proxy':
      return [[], `meta mark set ${hex(PROXY_MARK)} accept`];
    case 'divert': {
      const target = family === 6 ? 'ip6 to [::1]' : 'ip to 127.0.0.1';
      // Without a listener tproxy ends the rule: the packet goes on without a mark, and no later rule opens the server.
      return [[`tproxy ${target}:${verdict.port}`, `meta mark set ${hex(PROXY_MARK)}`], 'accept'];
    }
    case 'admit':
      return [[], `ct mark set ${hex(verdict.mark)} accept`];
  }
}

function matchText(match: Match, family: Family | undefined): string {
  switch (match.kind) {
    case 'interface':
      return `${match.direction === 'in' ? 'iifname' : 'oifname'} "${match.name}"`;
    case 'lookup':
      return `${match.fields.map((field) => fieldText(field, family)).join(' . ')} ${match.not ? '!= ' : ''}@${match.set}`;
    case 'state':
      return `ct state ${match.states.join(',')}`;
    case 'direction':
      return `ct direction ${match.direction}`;
    case 'connection-mark':
      return `ct mark ${oneOf(match.values.map(hex))}`;
    case 'proxied-flow':
      return `ct mark & ${hex(PROXIED_BIT)} == ${hex(PROXIED_BIT)}`;
    case 'packet-mark':
      return `meta mark ${hex(match.value)}`;
    case 'protocol':
      return `meta l4proto ${oneOf(match.protocols)}`;
    case 'port':
      return `th ${match.field} ${match.range[0] === match.range[1] ? match.range[0] : match.range.join('-')}`;
    case 'icmp':
      return `${family === 6 ? 'icmpv6' : 'icmp'} type ${oneOf(match.types)}`;
    case 'neighbour':
      return neighbourText(match.direction);
    case 'tcp-reset':
      return 'tcp flags & rst == rst';
    case 'transparent-socket':
      return 'socket transparent 1';
    case 'local-destination':
      return 'fib daddr type local';
  }
}

function neighbourText(direction: 'in' | 'out'): string {
  if (direction === 'out') return 'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report }';
  return 'icmpv6 type . ip6 hoplimit { nd-neighbor-solicit . 255, nd-neighbor-advert . 255, mld-listener-query . 1 }';
}

function fieldText(field: Field, family: Family | undefined): string {
  const ip = family === 6 ? 'ip6' : 'ip';
  switch (field) {
    case 'source':
      return `${ip} saddr`;
    case 'destination':
      return `${ip} daddr`;
    case 'protocol':
      return 'meta l4proto';
    case 'sport':
    case 'dport':
      return `th ${field}`;
    case 'in':
      return 'iifname';
    case 'ether':
      return 'ether saddr';
  }
}

const oneOf = (values: readonly string[]): string =>
  values.length === 1 ? `${values[0]}` : `{ ${values.join(', ')} }`;
const hex = (value: number): string => `0x${value.toString(16)}`;
