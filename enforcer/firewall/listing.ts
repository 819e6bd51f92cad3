// Reads `nft -j list table` (libnftables-json(5)) and compares it with a plan: chains, the order of rules by what they
// look up, log and do, and every element. Counters come from the same listing.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { cidrFamily, mergedRanges } from './addresses.ts';
import type { FirewallPlan, Rule, SetDefinition } from './plan.ts';

const priorities: Readonly<Record<string, number>> = { prerouting: -150, input: 0, forward: 0, output: 0 };

/** Seconds around its end in which an element may or may not still be there. */
const EXPIRY_SLACK_MS = 5_000;

const listedSchema = z.object({
  nftables: z.array(
    z.object({
      chain: z
        .object({
          name: z.string(),
          hook: z.string().optional(),
          prio: z.number().optional(),
          policy: z.string().optional(),
        })
        .optional(),
      rule: z.object({ chain: z.string(), expr: z.array(z.record(z.string(), z.unknown())) }).optional(),
      set: z
        .object({
          name: z.string(),
          type: z.union([z.string(), z.array(z.string())]),
          flags: z.array(z.string()).optional(),
          elem: z.array(z.unknown()).optional(),
        })
        .optional(),
    }),
  ),
});

export interface ListedRule {
  readonly chain: string;
  /** What it looks up, logs, marks and decides, in order; see `ruleSignature`. */
  readonly signature: string;
  readonly log: string;
  readonly packets: number;
  readonly bytes: number;
}

export interface Listing {
  readonly chains: ReadonlyMap<string, string>;
  readonly rules: readonly ListedRule[];
  readonly sets: ReadonlyMap<string, { readonly type: string; readonly elements: readonly string[] }>;
  /** Digest of every chain, rule and set definition as listed, without handles, counters and elements. */
  readonly fingerprint: string;
}

/** Throws the parser's error when it is not the JSON that nft writes. */
export function parseListing(json: string): Listing {
  const chains = new Map<string, string>();
  const rules: ListedRule[] = [];
  const sets = new Map<string, { type: string; elements: string[] }>();
  const digest = createHash('sha256');
  for (const { chain, rule, set } of listedSchema.parse(JSON.parse(json)).nftables) {
    if (chain !== undefined) chains.set(chain.name, chainSignature(chain.hook, chain.prio, chain.policy));
    if (rule !== undefined) rules.push(listedRule(rule.chain, rule.expr));
    if (set !== undefined) {
      const types = [set.type].flat();
      const elements = (set.elem ?? []).map((element) => elementKey(element, isInterval(set), types));
      sets.set(set.name, { type: types.join('.'), elements });
    }
    digest.update(
      `${JSON.stringify([chain, rule && [rule.chain, rule.expr.map(withoutCounter)], set && [set.name, set.type, set.flags]])}\n`,
    );
  }
  return { chains, rules, sets, fingerprint: digest.digest('hex') };
}

const isInterval = (set: { flags?: string[] | undefined }): boolean => set.flags?.includes('interval') === true;

function withoutCounter(statement: Record<string, unknown>): unknown {
  return 'counter' in statement ? 'counter' : statement;
}

function chainSignature(hook = '', priority: number | string = '', policy = ''): string {
  return [hook, priority, policy].join(' ').trim();
}

function listedRule(chain: string, expr: readonly Record<string, unknown>[]): ListedRule {
  const parts: string[] = [];
  let log = '';
  let packets = 0;
  let bytes = 0;
  for (const statement of expr) {
    for (const [kind, value] of Object.entries(statement)) {
      if (kind === 'match') parts.push(...setReferences(value));
      else if (kind === 'log') {
        log = text(value, 'prefix');
        parts.push(`log ${log}`);
      } else if (kind === 'counter') {
        packets = number(value, 'packets');
        bytes = number(value, 'bytes');
      } else if (kind === 'mangle') parts.push(`mark ${number(value, 'value')}`);
      else if (kind === 'tproxy') parts.push(`tproxy ${number(value, 'port')}`);
      else if (kind === 'goto' || kind === 'jump') parts.push(`${kind} ${text(value, 'target')}`);
      else parts.push(kind);
    }
  }
  return { chain, signature: parts.join(' '), log, packets, bytes };
}

/** What a rule of the plan is listed as, in the terms of `ListedRule.signature`. */
export function ruleSignature(rule: Rule): string {
  const { verdict } = rule;
  const sets = rule.match.flatMap((match) =>
    match.kind === 'lookup' ? [`${match.not ? '!=' : '=='} @${match.set}`] : [],
  );
  const log = rule.log === undefined ? [] : [`log ew:${rule.log}`];
  switch (verdict.kind) {
    case 'reset':
      return [...sets, ...log, 'reject'].join(' ');
    case 'goto':
    case 'jump':
      return [...sets, ...log, `${verdict.kind} ${verdict.chain}`].join(' ');
    case 'to-proxy':
      return [...sets, ...log, 'mark 1', 'accept'].join(' ');
    case 'divert':
      return [...sets, `tproxy ${verdict.port}`, 'mark 1', ...log, 'accept'].join(' ');
    case 'admit':
      return [...sets, ...log, `mark ${verdict.mark}`, 'accept'].join(' ');
    case 'accept':
    case 'drop':
    case 'return':
      return [...sets, ...log, verdict.kind].join(' ');
  }
}

/** The first thing in which the kernel's table is not the plan's; undefined when it is. */
export function differenceTo(plan: FirewallPlan, listing: Listing, now: number): string | undefined {
  const extra = [...listing.chains.keys()].find((name) => !plan.chains.some((chain) => chain.name === name));
  if (extra !== undefined) return `chain ${extra} is not ours`;
  for (const chain of plan.chains) {
    const expected = chain.hook === undefined ? '' : chainSignature(chain.hook, priorities[chain.hook], chain.policy);
    const actual = listing.chains.get(chain.name);
    if (actual !== expected) return `chain ${chain.name}: "${actual ?? 'missing'}" instead of "${expected}"`;
    const rules = listing.rules.filter((rule) => rule.chain === chain.name).map((rule) => rule.signature);
    const wanted = chain.rules.map(ruleSignature);
    const at = Array.from({ length: Math.max(rules.length, wanted.length) }).findIndex(
      (_, i) => rules[i] !== wanted[i],
    );
    if (at >= 0)
      return `chain ${chain.name}, rule ${at + 1}: "${rules[at] ?? 'missing'}" instead of "${wanted[at] ?? 'none'}"`;
  }
  return setDifference(plan, listing, now);
}

function setDifference(plan: FirewallPlan, listing: Listing, now: number): string | undefined {
  const extra = [...listing.sets.keys()].find((name) => !plan.sets.some((set) => set.name === name));
  if (extra !== undefined) return `set ${extra} is not ours`;
  for (const set of plan.sets) {
    const actual = listing.sets.get(set.name);
    if (actual === undefined || actual.type !== set.type.join('.'))
      return `set ${set.name} is missing or of another type`;
    const present = new Set(actual.elements);
    const wanted = new Set(set.elements.map((element) => element.key.join(' . ')));
    const unknown = actual.elements.find((key) => !wanted.has(key));
    if (unknown !== undefined) return `set ${set.name} has ${unknown}, which is not ours`;
    const missing = set.elements.find(
      (element) =>
        !present.has(element.key.join(' . ')) && (element.until === undefined || element.until > now + EXPIRY_SLACK_MS),
    );
    if (missing !== undefined) return `set ${set.name} lacks ${missing.key.join(' . ')}`;
  }
  return undefined;
}

/** Protocols by number: that is how they are listed on a host without /etc/protocols (a minimal Debian). */
const protocolNames: Readonly<Record<string, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmpv6' };

const fieldText = (value: unknown, type: string | undefined): string =>
  type === 'inet_proto' ? (protocolNames[String(value)] ?? String(value)) : String(value);

/** A key as the plan writes it; the kernel lists a range that is a prefix as one, and a single address as itself. */
function elementKey(element: unknown, interval: boolean, types: readonly string[]): string {
  if (typeof element === 'string' || typeof element === 'number') {
    return interval ? `${element}-${element}` : fieldText(element, types[0]);
  }
  const fields = element as Record<string, unknown>;
  if ('elem' in fields) return elementKey((fields['elem'] as { val: unknown }).val, interval, types);
  if ('concat' in fields)
    return (fields['concat'] as unknown[]).map((field, at) => fieldText(field, types[at])).join(' . ');
  if ('range' in fields) return (fields['range'] as unknown[]).map(String).join('-');
  if ('prefix' in fields) {
    const { addr, len } = fields['prefix'] as { addr: string; len: number };
    return mergedRanges([`${addr}/${len}`], cidrFamily(addr))[0] ?? '';
  }
  return JSON.stringify(element);
}

/** Set names in a match, with its operator; anonymous sets of constants carry none. */
function setReferences(match: unknown): string[] {
  const { op, right } = match as { op?: string; right?: unknown };
  return typeof right === 'string' && right.startsWith('@') ? [`${op ?? '=='} ${right}`] : [];
}

function text(value: unknown, key: string): string {
  const found = (value as Record<string, unknown> | null)?.[key];
  return typeof found === 'string' ? found : '';
}

function number(value: unknown, key: string): number {
  const found = (value as Record<string, unknown> | null)?.[key];
  return typeof found === 'number' ? found : 0;
}

/** The elements that a fast change adds to or removes from a set, as text for `nft -f -`. */
export function elementChange(
  verb: 'add' | 'delete',
  changes: readonly { readonly set: Pick<SetDefinition, 'name'>; readonly keys: readonly string[] }[],
): string {
  return changes
    .filter((change) => change.keys.length > 0)
    .map((change) => `${verb} element inet edgeward ${change.set.name} { ${change.keys.join(', ')} }\n`)
    .join('');
}
