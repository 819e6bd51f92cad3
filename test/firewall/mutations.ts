// Random single changes of a loaded table, as nft commands: one field each, comments kept, learned from the table's own
// listing. Property tests and the bench tamper with them.
export interface Mutation {
  /** Which field. */
  readonly kind: string;
  /** For `nft -f -`: one transaction. */
  readonly text: string;
}

interface Listed {
  readonly rules: readonly { chain: string; handle: number; at: number; expr: readonly Record<string, unknown>[] }[];
  readonly chains: readonly { name: string; hook?: string; policy?: string; prio?: number }[];
  readonly sets: readonly {
    name: string;
    map: boolean;
    timeout: boolean;
    learned: boolean;
    elements: readonly unknown[];
  }[];
  /** Rules as text by chain, in order, as `nft -a -s list table` writes them. */
  readonly lines: ReadonlyMap<number, string>;
  /** The table as text that loads again. */
  readonly whole: string;
}

const table = 'inet edgeward';

/** From `nft -j list table` and `nft -a -s list table`. */
export function readForMutation(json: string, text: string): Listed {
  const cleaned = JSON.parse(json) as { nftables: Record<string, Record<string, unknown>>[] };
  const rules: Listed['rules'][number][] = [];
  const chains: Listed['chains'][number][] = [];
  const sets: Listed['sets'][number][] = [];
  for (const entry of cleaned.nftables) {
    if (entry['rule'] !== undefined) {
      const rule = entry['rule'] as unknown as { chain: string; handle: number; expr: Record<string, unknown>[] };
      rules.push({ ...rule, at: rules.filter((other) => other.chain === rule.chain).length });
    }
    if (entry['chain'] !== undefined) chains.push(entry['chain'] as unknown as Listed['chains'][number]);
    for (const kind of ['set', 'map'] as const) {
      const set = entry[kind] as { name: string; flags?: string[]; size?: number; elem?: unknown[] } | undefined;
      if (set === undefined) continue;
      sets.push({
        name: set.name,
        map: kind === 'map',
        timeout: set.flags?.includes('timeout') === true,
        learned: set.size !== undefined,
        elements: set.elem ?? [],
      });
    }
  }
  const lines = new Map<number, string>();
  for (const line of text.split('\n')) {
    const found = /^\t\t(.*) # handle (\d+)$/.exec(line);
    if (found !== null) lines.set(Number(found[2]), found[1] ?? '');
  }
  const whole = text.replaceAll(/ # handle \d+$/gm, '');
  return { rules, chains, sets, lines, whole };
}

type Pick = <T>(from: readonly T[]) => T;

/** A change of this kind, or undefined where the table has nothing to change so. */
type Maker = (listed: Listed, pick: Pick) => string | undefined;

/** A rule whose text changes, put in its own place. */
const replaced =
  (change: (text: string, pick: Pick) => string): Maker =>
  (listed, pick) => {
    const able = listed.rules.filter(({ handle }) => {
      const text = listed.lines.get(handle);
      return text !== undefined && change(text, pick) !== text;
    });
    if (able.length === 0) return undefined;
    const { chain, handle } = pick(able);
    return `replace rule ${table} ${chain} handle ${handle} ${change(listed.lines.get(handle) ?? '', pick)}`;
  };

const elementText = (element: unknown): string | undefined => {
  const inner = (element as { elem?: { val: unknown } }).elem?.val ?? element;
  const field = (value: unknown): string => {
    if (typeof value === 'string')
      return /^[a-z]+\d*$/.test(value) && !/^(ipv[46]|tcp|udp)$/.test(value) ? `"${value}"` : value;
    if (typeof value === 'number') return String(value);
    const { range, prefix } = value as { range?: unknown[]; prefix?: { addr: string; len: number } };
    if (range !== undefined) return range.map(String).join('-');
    return prefix === undefined ? '' : `${prefix.addr}/${prefix.len}`;
  };
  if (Array.isArray(inner)) return undefined;
  if (typeof inner !== 'object' || inner === null) return field(inner);
  const { concat } = inner as { concat?: unknown[] };
  return concat === undefined ? field(inner) : concat.map(field).join(' . ');
};

const plainSets = (listed: Listed) => listed.sets.filter(({ map }) => !map);
const withElements = (listed: Listed) =>
  plainSets(listed).filter(({ learned, elements }) => !learned && elements.length > 0);

/** The whole table loaded again with one thing changed, for what cannot be changed in place. */
const reloaded =
  (from: RegExp, to: string): Maker =>
  ({ whole }, pick) => {
    const places = [...whole.matchAll(new RegExp(from, 'gm'))];
    if (places.length === 0) return undefined;
    const place = pick(places);
    const changed = place[0].replace(new RegExp(from, 'm'), to);
    return `delete table ${table}\n${whole.slice(0, place.index)}${changed}${whole.slice(place.index + place[0].length)}`;
  };

const makers: Readonly<Record<string, Maker>> = {
  'flipped verdict': replaced((text) =>
    text.endsWith(' drop') ? text.replace(/ drop$/, ' accept') : text.replace(/ accept$/, ' drop'),
  ),
  'log prefix': replaced((text) => text.replace(/log prefix "ew:([^"]*)"/, 'log prefix "ew:x$1"')),
  'log group': replaced((text) => text.replace(/ group 5/, ' group 6')),
  'no log': replaced((text) => text.replace(/ log prefix "[^"]*" group 5/, '')),
  'no counter': replaced((text) => text.replace(/ counter/, '')),
  'match interface': replaced((text) => text.replace(/iifname "lo"/, 'iifname "eth0"')),
  'match state': replaced((text) => text.replace(/ct state (invalid|related) /, 'ct state new ')),
  'match states': replaced((text) => text.replace(/ct state established /, 'ct state established,new ')),
  'match direction': replaced((text) => text.replace(/ct direction original/, 'ct direction reply')),
  'match protocol': replaced((text) =>
    text.replace(/^(meta l4proto tcp )?tcp flags .* counter/, 'meta l4proto udp counter'),
  ),
  'match removed': replaced((text) => text.replace(/^ct (state|direction) \S+ /, '')),
  'other set': replaced((text) => text.replace('@revoked4', '@quarantined4')),
  'negated lookup': replaced((text) => text.replace(/saddr @(revoked|quarantined)/, 'saddr != @$1')),
  'other target': replaced((text) => text.replace(/goto revoked$/, 'goto quarantined')),
  'rule removed': ({ rules }, pick) => {
    const { chain, handle } = pick(rules);
    return `delete rule ${table} ${chain} handle ${handle}`;
  },
  'rule inserted': ({ chains }, pick) => `insert rule ${table} ${pick(chains).name} counter accept`,
  'rule added': ({ chains }, pick) => `add rule ${table} ${pick(chains).name} counter drop`,
  'rule order': ({ rules, lines }, pick) => {
    const able = rules.filter(({ chain, at, handle }) => {
      const next = rules.find((other) => other.chain === chain && other.at === at + 1);
      return next !== undefined && lines.get(next.handle) !== lines.get(handle);
    });
    if (able.length === 0) return undefined;
    const { chain, handle, at } = pick(able);
    const next = rules.find((other) => other.chain === chain && other.at === at + 1);
    return `delete rule ${table} ${chain} handle ${handle}\nadd rule ${table} ${chain} handle ${next?.handle} ${lines.get(handle)}`;
  },
  'element removed': (listed, pick) => {
    const set = pick(withElements(listed));
    return `delete element ${table} ${set.name} { ${elementText(pick(set.elements))} }`;
  },
  'set flushed': (listed, pick) => `flush set ${table} ${pick(withElements(listed)).name}`,
  'element added': (listed, pick) => {
    const able = plainSets(listed).filter(({ name }) => /^(revoked|quarantined|blocked|identified)[46]$/.test(name));
    const { name } = pick(able);
    return `add element ${table} ${name} { ${name.endsWith('4') ? '10.99.0.9' : 'fd99::9'} }`;
  },
  'element of another end': (listed, pick) => {
    const able = plainSets(listed).filter(
      ({ timeout, learned, elements }) => timeout && !learned && elements.length > 0,
    );
    if (able.length === 0) return undefined;
    const { name, elements } = pick(able);
    const key = elementText(pick(elements));
    return `delete element ${table} ${name} { ${key} }\nadd element ${table} ${name} { ${key} timeout 77777s }`;
  },
  'chain policy': ({ chains }, pick) => {
    const { name, policy } = pick(chains.filter((chain) => chain.policy !== undefined));
    return `chain ${table} ${name} { policy ${policy === 'drop' ? 'accept' : 'drop'}; }`;
  },
  'extra chain': () => `add chain ${table} mine`,
  'extra base chain': (_, pick) =>
    `add chain ${table} mine { type filter hook ${pick(['input', 'output', 'forward'])} priority -5; policy accept; }`,
  'extra set': () => `add set ${table} mine { type ipv4_addr; }`,
  'extra map': () => `add map ${table} mine { type ipv4_addr : mark; }`,
  'extra object': () => `add counter ${table} mine`,
  'extra quota': () => `add quota ${table} mine { over 10 mbytes }`,
  'dormant table': () => `add table ${table} { flags dormant; }`,
  'chain emptied': ({ rules }, pick) => `flush chain ${table} ${pick(rules).chain}`,
  'chain priority': reloaded(/hook (input|forward|output) priority filter/, 'hook $1 priority 7'),
  'chain hook': reloaded(/hook forward priority/, 'hook input priority'),
  'chain type': reloaded(/type filter hook output/, 'type route hook output'),
  'set flag': reloaded(/flags timeout$/, 'flags dynamic,timeout'),
  'set size': reloaded(/type ipv4_addr$/, 'type ipv4_addr\n\t\tsize 99999'),
  'set default timeout': reloaded(/flags timeout$/, 'flags timeout\n\t\ttimeout 1h'),
  'map answer': reloaded(/ipv4 : 0x0+([0-9a-f]+)/, 'ipv4 : 0x1$1'),
  'table emptied': () => `flush table ${table}`,
  'table removed': () => `delete table ${table}`,
};

export const mutationKinds: readonly string[] = Object.keys(makers);

/** A change of this kind; undefined where the table has nothing to change so. `random` in [0, 1). */
export function mutate(kind: string, listed: Listed, random: () => number): Mutation | undefined {
  const pick: Pick = (from) => {
    const found = from[Math.floor(random() * from.length)];
    if (found === undefined) throw new RangeError(`nothing to pick for ${kind}`);
    return found;
  };
  const text = makers[kind]?.(listed, pick);
  return text === undefined ? undefined : { kind, text: `${text}\n` };
}
