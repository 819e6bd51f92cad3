// Lines of which most are in force, and which of them changes; with requests that a line decides.
import { corpusCsv, type CorpusRequest, makeCorpus } from '../decide/corpus.ts';
import { type PolicyLine, PlainRules } from './plain-rules.ts';

export interface PooledLine {
  readonly line: PolicyLine;
  /** As it stands in policy.csv. */
  readonly text: string;
  /** Requests whose answer can depend on it. */
  readonly requests: readonly CorpusRequest[];
}

export class PolicyPool {
  readonly rules = new PlainRules();
  readonly requests: readonly CorpusRequest[];
  readonly #inForce: PooledLine[];
  readonly #waiting: PooledLine[];
  readonly #random: () => number;

  /** `lines` in force, a quarter as many waiting. */
  constructor(lines: number, requests: number, random: () => number) {
    const { pooled, asked } = pooledLines(Math.ceil(lines * 1.25), requests);
    const shuffled = pooled
      .map((line) => ({ line, order: random() }))
      .toSorted((one, other) => one.order - other.order)
      .map(({ line }) => line);
    this.requests = asked;
    this.#inForce = shuffled.slice(0, lines);
    this.#waiting = shuffled.slice(lines);
    this.#random = random;
    for (const { line } of this.#inForce) this.rules.add(line);
  }

  get csv(): string {
    return this.#inForce.map(({ text }) => text).join('\n');
  }

  get waiting(): readonly PooledLine[] {
    return this.#waiting;
  }

  /** Lines that leave and lines that come, as many, `most` of them where there are; nothing changes yet. */
  choose(most: number): { leaves: readonly PooledLine[]; comes: readonly PooledLine[] } {
    const count = Math.min(most, this.#inForce.length, this.#waiting.length);
    return { leaves: this.#pick(this.#inForce, count), comes: this.#pick(this.#waiting, count) };
  }

  apply({ leaves, comes }: { leaves: readonly PooledLine[]; comes: readonly PooledLine[] }): void {
    for (const [at, leaving] of leaves.entries()) {
      const coming = comes[at];
      if (coming === undefined) throw new Error('as many come as leave');
      this.#inForce[this.#inForce.indexOf(leaving)] = coming;
      this.#waiting[this.#waiting.indexOf(coming)] = leaving;
      this.rules.remove(leaving.line);
      this.rules.add(coming.line);
    }
  }

  #pick(list: readonly PooledLine[], count: number): readonly PooledLine[] {
    const picked = new Set<PooledLine>();
    while (picked.size < count) {
      const line = list[Math.floor(this.#random() * list.length)];
      if (line !== undefined) picked.add(line);
    }
    return [...picked];
  }
}

/** A line decides at most this many requests of its own: enough to see it come and go. */
const REQUESTS_PER_LINE = 4;

function pooledLines(count: number, requests: number): { pooled: PooledLine[]; asked: readonly CorpusRequest[] } {
  const corpus = makeCorpus(count, requests);
  const lines: PolicyLine[] = [...corpus.rules.map((rule) => ({ rule })), ...corpus.links.map((link) => ({ link }))];
  const all = new PlainRules();
  for (const line of lines) all.add(line);
  const byRule = new Map<unknown, CorpusRequest[]>();
  const byMember = new Map<string, CorpusRequest[]>();
  const note = <K>(map: Map<K, CorpusRequest[]>, key: K, request: CorpusRequest): void => {
    const known = map.get(key);
    if (known === undefined) map.set(key, [request]);
    else if (known.length < REQUESTS_PER_LINE) known.push(request);
  };
  for (const request of corpus.requests) {
    const [sub, dom] = request;
    const matching = all.matching(request);
    for (const rule of matching) note(byRule, rule, request);
    if (matching.length === 0) continue;
    note(byMember, `${dom} ${sub}`, request);
    // A link between roles concerns everybody who has the lower one.
    for (const role of ['operator', 'engineer', 'maintainer']) note(byMember, `${dom} ${role}`, request);
  }
  const texts = corpusCsv(corpus).split('\n');
  const seen = new Set<string>();
  const pooled = lines.flatMap((line, at): PooledLine[] => {
    const text = texts[at] ?? '';
    if (seen.has(text)) return [];
    seen.add(text);
    const key = 'link' in line ? `${line.link.dom} ${line.link.member}` : '';
    return [{ line, text, requests: ('rule' in line ? byRule.get(line.rule) : byMember.get(key)) ?? [] }];
  });
  return { pooled, asked: corpus.requests };
}
