// The worst path of the corpus: for every pattern, paths that are made to make it work hard, asked by somebody whom the
// pattern's lines are for. All are tried once at full length; the worst are measured at each length.
import type { CasbinModel } from '../../policy/engine/casbin/casbin-model.ts';
import { MAX_CASBIN_VALUE_LENGTH } from '../../policy/engine/limits.ts';
import type { Corpus, CorpusRequest, Rule } from './corpus.ts';
import { rolesByMember } from './roles-by-member.ts';

export interface HostilePaths {
  /** CPU microseconds of the worst path, by its length in characters. */
  readonly usByLength: readonly { readonly length: number; readonly us: number }[];
  readonly tried: number;
  /** What the worst path is made of. */
  readonly kind: string;
  readonly pattern: string;
  /** Everything that was tried on every pattern. */
  readonly kinds: readonly string[];
}

const lengths = [1_024, 2_048, 4_096, MAX_CASBIN_VALUE_LENGTH] as const;

/** Each gives a path of exactly that many characters. */
const kinds: Readonly<Record<string, (pattern: string, length: number, seed: string) => string>> = {
  'only slashes': (_, length, seed) => fill(`/${seed}`, '/', length),
  'segments of one character': (_, length, seed) => fill(`/${seed}`, '/a', length),
  'one long segment': (_, length, seed) => fill(`/${seed}`, 'a', length),
  'the pattern without its last character, then a long segment': (pattern, length, seed) =>
    fill(almost(pattern, seed), 'a', length),
  'the pattern without its last character, then segments': (pattern, length, seed) =>
    fill(almost(pattern, seed), '/a', length),
  'the pattern again and again': (pattern, length, seed) => fill(almost(pattern, seed), pattern, length),
  'every parameter a long segment': (pattern, length, seed) => {
    const long = fill(seed, 'a', Math.max(1, length - pattern.length - 1));
    return fill(pattern.replace(/:\w+/, long).replace(/\*$/, ''), 'x', length);
  },
  'every parameter of slashes': (pattern, length, seed) => {
    const long = fill(seed, '/', Math.max(1, length - pattern.length - 1));
    return fill(pattern.replace(/:\w+/, long).replace(/\*$/, ''), 'x', length);
  },
};

const fill = (start: string, filler: string, length: number): string =>
  (start + filler.repeat(Math.ceil(length / filler.length))).slice(0, length);

const almost = (pattern: string, seed: string): string => pattern.replaceAll(/:\w+|\*$/g, seed).slice(0, -1);

interface Candidate {
  readonly rule: Rule;
  readonly sub: string;
  readonly kind: string;
  readonly us: number;
}

export interface HostileOptions {
  /** Patterns that are tried, spread over the corpus. */
  readonly patterns: number;
  readonly rounds: number;
}

/** How many of the worst are measured again. */
const WORST = 40;
/** Distinct paths of one kind that are asked in a round, each once. */
const PATHS = 50;

export function hostilePaths(model: CasbinModel, corpus: Corpus, options: HostileOptions): HostilePaths {
  const holders = holdersOf(corpus);
  const rules = spread([...new Map(corpus.rules.map((rule) => [rule.obj, rule])).values()], options.patterns);
  const tried: Candidate[] = [];
  for (const rule of rules) {
    const sub = rule.sub.startsWith('device-') ? rule.sub : holders.get(`${rule.dom} ${rule.sub}`);
    if (sub === undefined) continue;
    for (const kind of Object.keys(kinds)) tried.push({ rule, sub, kind, us: quickLook(model, rule, sub, kind) });
  }
  const worst = tried.toSorted((one, other) => other.us - one.us).slice(0, WORST);
  const measured = worst.map((candidate) => ({
    candidate,
    us: lengths.map((length) => ({ length, us: measure(model, candidate, length, options.rounds) })),
  }));
  const [top] = measured.toSorted((one, other) => (other.us.at(-1)?.us ?? 0) - (one.us.at(-1)?.us ?? 0));
  if (top === undefined) throw new Error('nobody holds a role of the corpus');
  const { candidate, us } = top;
  return {
    usByLength: us,
    tried: tried.length,
    kind: candidate.kind,
    pattern: candidate.rule.obj,
    kinds: Object.keys(kinds),
  };
}

/** Of the lengths and costs the power with which the cost grows: 1 is linear, less where a fixed part weighs. */
export function growthExponent(points: HostilePaths['usByLength']): number {
  const logs = points.map(({ length, us }) => [Math.log(length), Math.log(us)] as const);
  const meanX = logs.reduce((sum, [x]) => sum + x, 0) / logs.length;
  const meanY = logs.reduce((sum, [, y]) => sum + y, 0) / logs.length;
  const top = logs.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return top / logs.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}

/** Best of three by the wall clock: enough to see which are worth a measurement. */
function quickLook(model: CasbinModel, rule: Rule, sub: string, kind: string): number {
  let best = Number.POSITIVE_INFINITY;
  for (let n = 0; n < 3; n++) {
    const request = requestOf(rule, sub, kind, MAX_CASBIN_VALUE_LENGTH, n);
    const before = performance.now();
    model.enforce(request);
    best = Math.min(best, (performance.now() - before) * 1_000);
  }
  return best;
}

/** CPU microseconds, mean of the best round; every path is new. */
function measure(model: CasbinModel, { rule, sub, kind }: Candidate, length: number, rounds: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const requests = Array.from({ length: PATHS }, (_, n) => requestOf(rule, sub, kind, length, round * PATHS + n));
    const before = process.cpuUsage();
    for (const request of requests) model.enforce(request);
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / PATHS);
  }
  return best;
}

function requestOf({ obj, dom, act, net }: Rule, sub: string, kind: string, length: number, n: number): CorpusRequest {
  const path = kinds[kind]?.(obj, length, n.toString(36)) ?? '';
  // Flat, as it comes off a wire.
  return [sub, dom, Buffer.from(path, 'latin1').toString('latin1'), act, net.split('/')[0] ?? ''];
}

/** A device for every role of every domain. */
function holdersOf({ links }: Corpus): ReadonlyMap<string, string> {
  const holders = new Map<string, string>();
  for (const [key, roles] of rolesByMember(links)) {
    const [dom = '', member = ''] = key.split(' ');
    if (member.startsWith('device-')) for (const role of roles) holders.set(`${dom} ${role}`, member);
  }
  return holders;
}

const spread = <T>(list: readonly T[], count: number): readonly T[] =>
  list.length <= count
    ? list
    : list.filter((_, at) => Math.floor((at * count) / list.length) !== Math.floor(((at - 1) * count) / list.length));
