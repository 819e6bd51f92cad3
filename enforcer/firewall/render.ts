// Writes tables and changes of tables as nftables text (nft(8), checked with 1.0.6), each as one transaction.
import type { TableChange } from './change.ts';
import { groupOfKey } from './keys.ts';
import { AFTER_PRIORITY, LOG_GROUP, PROXIED_BIT, PROXY_MARK } from './plan.ts';
import type { Chain, Family, Field, Match, Rule, Ruleset, SetDefinition, SetElement, Verdict } from './plan.ts';

/** Our table; both families, so that a policy for IPv4 can never leave IPv6 open. */
export const TABLE_NAME = 'edgeward';
export const TABLE: string = `inet ${TABLE_NAME}`;

/** Priorities of the hooks: before destination NAT and routing in prerouting, the usual filter place elsewhere. */
const priorities = { prerouting: 'mangle', input: 'filter', forward: 'filter', output: 'filter' } as const;

/**
 * The table as text. `now` turns end dates into the kernel's timers; elements whose time has come are left out.
 * Loading it is one transaction: packets meet the old table or the new one, never none.
 */
export function renderNft(table: Ruleset, now: number): string {
  const verdictMaps = table.sets.filter((set) => set.data === 'verdict');
  const lines = [
    // Adding before deleting makes the deletion valid also when there is no table yet.
    `table ${TABLE}`,
    `delete table ${TABLE}`,
    `table ${TABLE} {`,
    // A map that leads to chains needs them first, and rules need the map.
    ...table.sets.flatMap((set) => ['', ...indented(setLines(set.data === 'verdict' ? empty(set) : set, now))]),
    ...table.chains.flatMap((chain) => ['', ...indented(chainLines({ ...chain, rules: [] }))]),
    '}',
    ...verdictMaps.flatMap((set) => elementLines('add', set, set.elements, now)),
    `table ${TABLE} {`,
    ...table.chains.flatMap(({ name, rules }) =>
      rules.length === 0 ? [] : ['', ...indented(chainLines({ name, rules }))],
    ),
    '}',
  ];
  return `${lines.join('\n')}\n`;
}

const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);
const empty = (set: SetDefinition): SetDefinition => ({ ...set, elements: [] });

/** A change as text, in the order in which nothing refers to what is not there. */
export function renderChange(change: TableChange, now: number): string {
  const { addSets, addChains, fillChains, addElements, removeElements, removeChains, removeSets } = change;
  const declared = addSets.map((set) => (set.data === 'verdict' ? empty(set) : set));
  const block = (lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : [`table ${TABLE} {`, ...indented(lines), '}'];
  const lines = [
    ...block([
      ...declared.flatMap((set) => setLines(set, now)),
      ...addChains.flatMap((chain) => chainLines({ ...chain, rules: [] })),
    ]),
    ...addSets.filter((set) => set.data === 'verdict').flatMap((set) => elementLines('add', set, set.elements, now)),
    ...removeElements.flatMap(({ set, elements }) => {
      // nft knows a control group by its path, where another one or none may be now.
      if (set.type.includes('cgroupsv2')) {
        return [`flush set ${TABLE} ${set.name}`, ...elementLines('add', set, set.elements, now)];
      }
      return [
        // One that may have ended meanwhile could not be deleted; adding what is there changes nothing.
        ...elementLines(
          'add',
          set,
          elements
            .filter((element) => element.until !== undefined)
            .map((element) => ({ ...element, until: now + 60_000 })),
          now,
        ),
        ...elementLines('delete', set, elements, now),
      ];
    }),
    ...addElements.flatMap(({ set, elements }) => elementLines('add', set, elements, now)),
    ...fillChains.map((chain) => `flush chain ${TABLE} ${chain.name}`),
    ...block(
      [...addChains, ...fillChains]
        .filter((chain) => chain.rules.length > 0)
        .flatMap((chain) => chainLines({ name: chain.name, rules: chain.rules })),
    ),
    ...removeChains.map((name) => `flush chain ${TABLE} ${name}`),
    ...removeSets.map((set) => `delete ${kindOf(set)} ${TABLE} ${set.name}`),
    ...removeChains.map((name) => `delete chain ${TABLE} ${name}`),
  ];
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

const kindOf = (set: Pick<SetDefinition, 'data'>): 'map' | 'set' => (set.data === undefined ? 'set' : 'map');

/** Elements of one command of text; more make nft slow to read. */
const ELEMENTS_PER_LINE = 1_000;

function elementLines(
  verb: 'add' | 'delete',
  set: SetDefinition,
  elements: readonly SetElement[],
  now: number,
): string[] {
  const live = elements.filter((element) => verb === 'delete' || isLive(element, now));
  const lines: string[] = [];
  for (let from = 0; from < live.length; from += ELEMENTS_PER_LINE) {
    const part = live.slice(from, from + ELEMENTS_PER_LINE);
    const text = part.map((element) => (verb === 'add' ? elementText(set, element, now) : keyText(set, element)));
    lines.push(`${verb} element ${TABLE} ${set.name} { ${text.join(', ')} }`);
  }
  return lines;
}

const isLive = (element: SetElement, now: number): boolean => element.until === undefined || element.until > now;

function setLines(set: SetDefinition, now: number): string[] {
  const live = set.elements.filter((element) => isLive(element, now));
  const flags = [
    ...(set.learned === undefined ? [] : ['dynamic']),
    ...(set.interval ? ['interval'] : []),
    ...(set.timeout ? ['timeout'] : []),
  ];
  return [
    `${kindOf(set)} ${set.name} {`,
    `  type ${set.type.join(' . ')}${set.data === undefined ? '' : ` : ${set.data}`}`,
    `  comment "${set.purpose}"`,
    ...(set.learned === undefined ? [] : [`  size ${set.learned.size}`]),
    ...(flags.length === 0 ? [] : [`  flags ${flags.join(', ')}`]),
    ...(set.learned?.timeoutMs === undefined ? [] : [`  timeout ${timeText(set.learned.timeoutMs)}`]),
    ...(set.counted === true ? ['  counter'] : []),
    ...(live.length === 0
      ? []
      : ['  elements = {', ...live.map((element) => `    ${elementText(set, element, now)},`), '  }']),
    '}',
  ];
}

/** An element as `nft add element` takes it. */
export function elementText(set: SetDefinition, element: SetElement, now: number): string {
  const timeout = element.until === undefined ? '' : ` timeout ${timeText(Math.max(1, element.until - now))}`;
  const comment = element.comment === undefined ? '' : ` comment "${element.comment}"`;
  return `${keyText(set, element)}${timeout}${comment}${dataText(element)}`;
}

function dataText({ verdict, mark }: SetElement): string {
  if (verdict !== undefined) return ` : ${verdict.kind} ${verdict.chain}`;
  return mark === undefined ? '' : ` : ${hex(mark)}`;
}

function keyText(set: SetDefinition, element: SetElement): string {
  return element.key
    .map((value, index) => {
      const type = set.type[index];
      if (type === 'cgroupsv2') return `"${groupOfKey(value).path}"`;
      if (type === 'ifname') return `"${value}"`;
      return type === 'mark' ? hex(Number(value)) : value;
    })
    .join(' . ');
}

const timeText = (ms: number): string =>
  ms % 1000 === 0 ? `${ms / 1000}s` : `${Math.floor(ms / 1000)}s${ms % 1000}ms`;

function chainLines(chain: Chain): string[] {
  const priority = chain.after === true ? AFTER_PRIORITY : chain.hook && priorities[chain.hook];
  const head =
    chain.hook === undefined
      ? []
      : [`  type filter hook ${chain.hook} priority ${priority}; policy ${chain.policy ?? 'drop'};`];
  return [`chain ${chain.name} {`, ...head, ...chain.rules.map((rule) => `  ${ruleText(rule)}`), '}'];
}

/** A rule as `nft list` would show it, without counters. */
export function ruleText(rule: Rule): string {
  const { verdict, family } = rule;
  const matches = rule.match.map((match) => matchText(match, family));
  // A map answers or does not; it has no counter of its own.
  if (verdict.kind === 'dispatch')
    return [...matches, `${fieldsText(verdict.fields, family)} vmap @${verdict.map}`].join(' ');
  const log = rule.log === undefined ? [] : [`log prefix "ew:${rule.log}" group ${LOG_GROUP}`];
  const [before, after] = verdictText(verdict, family);
  return [...matches, ...before, 'counter', ...log, ...after].join(' ');
}

/** What happens before the rule is counted, and the verdict itself. */
function verdictText(
  verdict: Exclude<Verdict, { kind: 'dispatch' }>,
  family: Family | undefined,
): [string[], string[]] {
  switch (verdict.kind) {
    case 'accept':
    case 'drop':
    case 'return':
      return [[], [verdict.kind]];
    case 'continue':
      return [[], []];
    case 'reset':
      return [[], ['reject with tcp reset']];
    case 'goto':
    case 'jump':
      return [[], [`${verdict.kind} ${verdict.chain}`]];
    case 'to-proxy':
      return [[], [`meta mark set ${hex(PROXY_MARK)} accept`]];
    case 'divert': {
      const target = family === 6 ? 'ip6 to [::1]' : 'ip to 127.0.0.1';
      // Without a listener tproxy ends the rule: the packet goes on without a mark, to the stand-in's rule if there is one.
      return [[`tproxy ${target}:${verdict.port}`, `meta mark set ${hex(PROXY_MARK)}`], ['accept']];
    }
    case 'admit':
      return [[`ct mark set meta nfproto map @${verdict.map}`], ['accept']];
    case 'remember':
      return [[`update @${verdict.set} { ${fieldText(verdict.field, family)} }`], []];
    case 'block':
      return [
        [`add @${verdict.set} { ${fieldText(verdict.field, family)} timeout ${timeText(verdict.timeoutMs)} }`],
        ['drop'],
      ];
  }
}

function matchText(match: Match, family: Family | undefined): string {
  switch (match.kind) {
    case 'interface':
      return `${match.direction === 'in' ? 'iifname' : 'oifname'} "${match.name}"`;
    case 'lookup':
      return `${fieldsText(match.fields, family)} ${match.not ? '!= ' : ''}@${match.set}`;
    case 'state':
      return `ct state ${match.states.join(',')}`;
    case 'direction':
      return `ct direction ${match.direction}`;
    case 'proxied-flow':
      return `ct mark & ${hex(PROXIED_BIT)} == ${hex(PROXIED_BIT)}`;
    case 'packet-mark':
      return `meta mark ${hex(match.value)}`;
    case 'protocol':
      return `meta l4proto ${match.not ? '!= ' : ''}${oneOf(match.protocols)}`;
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
    case 'rate-over':
      return rateText(match);
    case 'meter-over':
      return `add @${match.set} { ${fieldText(match.field, family)} ${rateText(match)} }`;
    case 'uncounted':
      return `${fieldText(match.field, family)} != @${match.set}`;
    case 'connections-over':
      return `add @${match.set} { ${fieldText(match.field, family)} ct count over ${match.count} }`;
    case 'cgroup':
      return `socket cgroupv2 level ${match.level} ${match.not ? '!= ' : ''}@${match.set}`;
  }
}

const rateText = ({ amount, per, burst }: { amount: number; per: string; burst: number }): string =>
  `limit rate over ${amount}/${per} burst ${burst} packets`;

function neighbourText(direction: 'in' | 'out'): string {
  if (direction === 'out') return 'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report }';
  return 'icmpv6 type . ip6 hoplimit { nd-neighbor-solicit . 255, nd-neighbor-advert . 255, mld-listener-query . 1 }';
}

const fieldsText = (fields: readonly Field[], family: Family | undefined): string =>
  fields.map((field) => fieldText(field, family)).join(' . ');

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
    case 'out':
      return 'oifname';
    case 'ether':
      return 'ether saddr';
    case 'family':
      return 'meta nfproto';
    case 'connection-mark':
      return 'ct mark';
    case 'uid':
      return 'meta skuid';
  }
}

const oneOf = (values: readonly string[]): string =>
  values.length === 1 ? `${values[0]}` : `{ ${values.join(', ')} }`;
const hex = (value: number): string => `0x${value.toString(16)}`;
