// Reads `nft -j list table` (libnftables-json(5)) and compares it with a plan: chains, the order of rules by what they
// look up, log and do, and every element. Counters come from the same listing.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { cidrFamily, mergedRanges } from './addresses.ts';
import { groupInode } from './control-groups.ts';
import { canonicalField, elementIdentity, identityOf } from './keys.ts';
import { AFTER_PRIORITY } from './plan.ts';
import type { Chain, Rule, Ruleset, SetDefinition } from './plan.ts';

const priorities: Readonly<Record<string, number>> = { prerouting: -150, input: 0, forward: 0, output: 0 };

/** Seconds around its end in which an element may or may not still be there. */
const EXPIRY_SLACK_MS = 5_000;

/** Milliseconds by which an end may be off: listings have whole seconds, and loading takes time. */
export const END_SLACK_MS = 2_000;

const listedSet = z.object({
  name: z.string(),
  type: z.union([z.string(), z.array(z.string())]),
  map: z.union([z.string(), z.array(z.string())]).optional(),
  flags: z.array(z.string()).optional(),
  timeout: z.number().optional(),
  size: z.number().optional(),
  stmt: z.array(z.unknown()).optional(),
  elem: z.array(z.unknown()).optional(),
});

const listedSchema = z.object({
  nftables: z.array(
    z.looseObject({
      chain: z
        .object({
          name: z.string(),
          hook: z.string().optional(),
          prio: z.number().optional(),
          policy: z.string().optional(),
        })
        .optional(),
      rule: z.object({ chain: z.string(), expr: z.array(z.record(z.string(), z.unknown())) }).optional(),
      set: listedSet.optional(),
      map: listedSet.optional(),
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
  /** Marks the flow as one of its plan and accepts it. */
  readonly admits: boolean;
}

export interface ListedSet {
  readonly type: string;
  /** As `elementIdentity` writes them. */
  readonly elements: readonly string[];
  /** Milliseconds after which the kernel drops an element by itself, for those that it does. */
  readonly expiring: ReadonlyMap<string, number>;
}

export interface Listing {
  readonly chains: ReadonlyMap<string, string>;
  readonly rules: readonly ListedRule[];
  readonly sets: ReadonlyMap<string, ListedSet>;
  /** How a rule of the table would be listed: what `ListedRule.signature` has to be. */
  readonly signatureOf: (rule: Rule) => string;
  /** Anything else that is in the table (objects, flowtables), and flags of the table that are not ours. */
  readonly strange: readonly string[];
  /** Digest of every chain, rule and set definition as listed, without handles, counters and elements. */
  readonly fingerprint: string;
  /** What the digest is of, where it can be shown. */
  readonly definitions?: readonly string[];
}

/** Entries of a listing that are read for themselves, or say nothing. */
const knownEntries = new Set(['metainfo', 'table', 'chain', 'rule', 'set', 'map']);

/**
 * `terse` is the same table as `nft -s -t list table` writes it: flags of table and sets, which the JSON of nft 1.0.6 leaves
 * out. Throws the parser's error when it is not the JSON that nft writes.
 */
export function parseListing(json: string, terse: string = ''): Listing {
  const chains = new Map<string, string>();
  const rules: ListedRule[] = [];
  const sets = new Map<string, ListedSet>();
  const strange: string[] = /^\tflags .*dormant/m.test(terse) ? ['the flag dormant'] : [];
  const definitions = [terse];
  for (const { chain, rule, set: plain, map, ...rest } of listedSchema.parse(JSON.parse(readable(json))).nftables) {
    for (const [kind, value] of Object.entries(rest)) {
      if (!knownEntries.has(kind)) strange.push(`${kind} ${text(value, 'name')}`);
    }
    const set = plain ?? map;
    if (chain !== undefined) chains.set(chain.name, chainSignature(chain.hook, chain.prio, chain.policy));
    if (rule !== undefined) rules.push(listedRule(rule.chain, rule.expr));
    if (set !== undefined) {
      const types = [set.type].flat();
      const elements = (set.elem ?? []).map((element) => listedElement(element, types));
      const type = [types.join('.'), ...[set.map ?? []].flat()].join(':');
      sets.set(set.name, { type, elements, expiring: expiringOf(set.elem ?? [], elements) });
    }
    const { elem: _, ...shape } = set ?? {};
    definitions.push(JSON.stringify([chain, rule && [rule.chain, rule.expr.map(withoutCounter)], set && shape]));
  }
  const fingerprint = createHash('sha256').update(definitions.join('\n')).digest('hex');
  return { chains, rules, sets, strange, fingerprint, definitions, signatureOf: ruleSignature };
}

/** nft 1.0.6 writes what happens to be in memory as the flags of a table in JSON. */
const readable = (json: string): string =>
  json.replace(/^(.{0,200}?\{"metainfo": \{[^}]*\}\}, \{"table": \{[^}]*?), "flags": .*?\}\}, /s, '$1}}, ');

function withoutCounter(statement: Record<string, unknown>): unknown {
  return 'counter' in statement ? 'counter' : statement;
}

/** What a chain of ours is listed as. */
export const hookSignature = (chain: Ruleset['chains'][number]): string =>
  chain.hook === undefined ? '' : chainSignature(chain.hook, priorityOf(chain), chain.policy);

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
      } else if (kind === 'mangle') parts.push(`mark ${markText(value)}`);
      else if (kind === 'vmap') parts.push(`vmap ${text(value, 'data')}`);
      else if (kind === 'set') parts.push(`${text(value, 'op')} ${text(value, 'set')}`);
      else if (kind === 'tproxy') parts.push(`tproxy ${number(value, 'port')}`);
      else if (kind === 'goto' || kind === 'jump') parts.push(`${kind} ${text(value, 'target')}`);
      else parts.push(kind);
    }
  }
  const signature = parts.join(' ');
  return { chain, signature, log, packets, bytes, admits: /mark @\S+ accept$/.test(signature) };
}

/** The value of a mark statement: a number, or the map that it comes from. */
function markText(value: unknown): string {
  const source = (value as { value?: unknown }).value;
  if (typeof source === 'number') return String(source);
  return text((source as { map?: unknown } | null)?.map, 'data');
}

/** What a rule of the table is listed as, in the terms of `ListedRule.signature`. */
export function ruleSignature(rule: Rule): string {
  const { verdict } = rule;
  const matches = rule.match.flatMap((match) => {
    if (match.kind === 'lookup' || match.kind === 'cgroup') return [`${match.not ? '!=' : '=='} @${match.set}`];
    if (match.kind === 'uncounted') return [`!= @${match.set}`];
    if (match.kind === 'meter-over' || match.kind === 'connections-over') return [`add @${match.set}`];
    return match.kind === 'rate-over' ? ['limit'] : [];
  });
  const log = rule.log === undefined ? [] : [`log ew:${rule.log}`];
  return [...matches, ...verdictSignature(verdict, log)].join(' ');
}

function verdictSignature(verdict: Rule['verdict'], log: readonly string[]): string[] {
  switch (verdict.kind) {
    case 'reset':
      return [...log, 'reject'];
    case 'goto':
    case 'jump':
      return [...log, `${verdict.kind} ${verdict.chain}`];
    case 'to-proxy':
      return [...log, 'mark 1', 'accept'];
    case 'divert':
      return [`tproxy ${verdict.port}`, 'mark 1', ...log, 'accept'];
    case 'admit':
      return [`mark @${verdict.map}`, ...log, 'accept'];
    case 'dispatch':
      return [`vmap @${verdict.map}`];
    case 'block':
      return [`add @${verdict.set}`, ...log, 'drop'];
    case 'remember':
      return [`update @${verdict.set}`, ...log];
    case 'continue':
      return [...log];
    case 'accept':
    case 'drop':
    case 'return':
      return [...log, verdict.kind];
  }
}

/** Where a chain stands at its hook. */
export const priorityOf = ({ hook, after }: Pick<Chain, 'hook' | 'after'>): number | undefined =>
  after === true ? AFTER_PRIORITY : hook && priorities[hook];

/** The first thing in which the kernel's table is not this one; undefined when it is. */
export function differenceTo(table: Ruleset, listing: Listing, now: number): string | undefined {
  const ours = new Set(table.chains.map((chain) => chain.name));
  const [strange] = listing.strange;
  if (strange !== undefined) return `the table has ${strange}, which is not ours`;
  const extra = [...listing.chains.keys()].find((name) => !ours.has(name));
  if (extra !== undefined) return `chain ${extra} is not ours`;
  const rules = Map.groupBy(listing.rules, (rule) => rule.chain);
  for (const chain of table.chains) {
    const expected = hookSignature(chain);
    const actual = listing.chains.get(chain.name);
    if (actual !== expected) return `chain ${chain.name}: "${actual ?? 'missing'}" instead of "${expected}"`;
    const found = (rules.get(chain.name) ?? []).map((rule) => rule.signature);
    const wanted = chain.rules.map(listing.signatureOf);
    const at = Array.from({ length: Math.max(found.length, wanted.length) }).findIndex(
      (_, i) => found[i] !== wanted[i],
    );
    if (at >= 0)
      return `chain ${chain.name}, rule ${at + 1}: "${found[at] ?? 'missing'}" instead of "${wanted[at] ?? 'none'}"`;
  }
  return setDifference(table, listing, now);
}

function setDifference(table: Ruleset, listing: Listing, now: number): string | undefined {
  const ours = new Set(table.sets.map((set) => set.name));
  const extra = [...listing.sets.keys()].find((name) => !ours.has(name));
  if (extra !== undefined) return `set ${extra} is not ours`;
  for (const set of table.sets) {
    const actual = listing.sets.get(set.name);
    const type = `${set.type.join('.')}${set.data === undefined ? '' : `:${set.data}`}`;
    if (actual === undefined || actual.type !== type) return `set ${set.name} is missing or of another type`;
    const present = new Set(actual.elements);
    const wanted = new Set(set.elements.map((element) => elementIdentity(set, element)));
    // Packets add to a learned set what they like.
    const unknown = set.learned === undefined ? actual.elements.find((key) => !wanted.has(key)) : undefined;
    if (unknown !== undefined) return `set ${set.name} has ${unknown}, which is not ours`;
    const missing = set.elements.find(
      (element) =>
        !present.has(elementIdentity(set, element)) &&
        (element.until === undefined || element.until > now + EXPIRY_SLACK_MS),
    );
    if (missing !== undefined) return `set ${set.name} lacks ${missing.key.join(' . ')}`;
    const other = otherEnd(set, actual.expiring, present, now);
    if (other !== undefined) return other;
  }
  return undefined;
}

/** An element that ends at another time than it should. */
function otherEnd(
  set: SetDefinition,
  left: ReadonlyMap<string, number>,
  present: ReadonlySet<string>,
  now: number,
): string | undefined {
  for (const element of set.elements) {
    const identity = elementIdentity(set, element);
    if (!present.has(identity)) continue;
    const actual = left.get(identity);
    const wanted = element.until === undefined ? undefined : element.until - now;
    if (actual === wanted) continue;
    if (actual !== undefined && wanted !== undefined && Math.abs(actual - wanted) <= END_SLACK_MS) continue;
    // It ends about now.
    if (actual === undefined && wanted !== undefined && wanted <= END_SLACK_MS) continue;
    const end = (ms: number | undefined): string => (ms === undefined ? 'never' : `in ${Math.round(ms / 1000)} s`);
    return `set ${set.name}: ${element.key.join(' . ')} ends ${end(actual)} instead of ${end(wanted)}`;
  }
  return undefined;
}

/** An element in the spelling of `elementIdentity`. */
function listedElement(element: unknown, types: readonly string[]): string {
  if (Array.isArray(element)) {
    const [key, answer] = element as [unknown, unknown];
    const fields = listedKey(key, types).join(' . ');
    if (typeof answer === 'number') return identityOf(fields, undefined, answer);
    const [kind = '', target] = Object.entries(answer as Record<string, unknown>)[0] ?? [];
    return identityOf(fields, `${kind} ${text(target, 'target')}`);
  }
  return listedKey(element, types).join(' . ');
}

/** nft lists seconds, rounded. */
function expiringOf(listed: readonly unknown[], elements: readonly string[]): Map<string, number> {
  const expiring = new Map<string, number>();
  for (const [at, element] of listed.entries()) {
    const key: unknown = Array.isArray(element) ? element[0] : element;
    const expires = (key as { elem?: { expires?: unknown } } | null)?.elem?.expires;
    if (typeof expires === 'number') expiring.set(elements[at] ?? '', expires * 1_000);
  }
  return expiring;
}

function listedKey(key: unknown, types: readonly string[]): string[] {
  const fields = key as Record<string, unknown>;
  if (typeof key === 'object' && key !== null && 'elem' in fields) {
    return listedKey((fields['elem'] as { val: unknown }).val, types);
  }
  if (typeof key === 'object' && key !== null && 'concat' in fields) {
    return (fields['concat'] as unknown[]).map((field, at) => listedField(field, types[at]));
  }
  return [listedField(key, types[0])];
}

/** The kernel lists a range that is a prefix as one, and a range of one value as itself. */
function listedField(field: unknown, type: string | undefined): string {
  // nft shows a control group by the path where its inode is now, or by the inode.
  if (type === 'cgroupsv2' && typeof field === 'string') return groupInode(field) ?? field;
  if (typeof field === 'string' || typeof field === 'number') return canonicalField(String(field), type);
  const fields = field as Record<string, unknown>;
  if ('range' in fields) {
    return canonicalField(
      (fields['range'] as unknown[]).map((end) => canonicalField(String(end), type)).join('-'),
      type,
    );
  }
  if ('prefix' in fields) {
    const { addr, len } = fields['prefix'] as { addr: string; len: number };
    return mergedRanges([`${addr}/${len}`], cidrFamily(addr))[0] ?? '';
  }
  return JSON.stringify(field);
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
