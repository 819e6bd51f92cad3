// Every engine over the corpus of one size, in interleaved rounds, so that what else the machine does hits all of them;
// the best round of each counts. Every answer of every round is compared with the hand-written index.
import type { Contender, Round } from './contender.ts';
import { type CorpusRequest, makeCorpus } from './corpus.ts';
import { type EngineName, engineNames, engines } from './engines.ts';
import { handWrittenIndex } from './hand-written.ts';
import { NotHere } from './not-here.ts';

export interface EngineCost {
  /** CPU microseconds a decision, mean of the best round. */
  readonly us: number;
  /** Distinct requests that were asked in every round. */
  readonly requests: number;
  readonly rounds: number;
  /** Share of these requests that are allowed. */
  readonly allowedShare: number;
  /** Requests that were answered otherwise than by the hand-written index, in the worst round. */
  readonly differences: number;
  readonly says: string;
}

export interface Comparison {
  readonly lines: number;
  readonly rules: number;
  readonly links: number;
  readonly costs: Partial<Record<EngineName, EngineCost>>;
  /** Why an engine has no cost. */
  readonly left: Partial<Record<EngineName, string>>;
}

export interface CompareOptions {
  /** Distinct requests, and rounds. */
  readonly requests: number;
  readonly rounds: number;
  /** CPU milliseconds of a round; an engine that needs more for all requests is asked fewer. */
  readonly roundMs: number;
  readonly size: 'full' | 'quick';
  readonly progress: (text: string) => void;
}

/** Asked of every engine at least. */
const FEWEST_REQUESTS = 50;
/** Times its round's time, from which an engine takes part in fewer rounds. */
const SLOW = 2;
const SLOW_ROUNDS = 3;

interface Entry {
  readonly name: EngineName;
  readonly contender: Contender;
  readonly requests: number;
  readonly rounds: number;
  readonly seen: Round[];
}

export async function compare(lines: number, options: CompareOptions): Promise<Comparison> {
  const corpus = makeCorpus(lines, options.requests);
  const expected = Uint8Array.from(corpus.requests, truthOf(handWrittenIndex(corpus)));
  const left: Partial<Record<EngineName, string>> = {};
  const entries: Entry[] = [];
  for (const name of engineNames) {
    const { largest, open } = engines[name];
    if (lines > largest[options.size]) {
      left[name] = `not asked beyond ${largest[options.size]} lines`;
      continue;
    }
    try {
      const contender = await open(corpus);
      const us = warmCost(contender, corpus.requests, options.roundMs);
      const requests = Math.max(FEWEST_REQUESTS, Math.floor((options.roundMs * 1_000) / us));
      const slow = FEWEST_REQUESTS * us > SLOW * options.roundMs * 1_000;
      entries.push({
        name,
        contender,
        requests: Math.min(requests, corpus.requests.length),
        rounds: slow ? Math.min(SLOW_ROUNDS, options.rounds) : options.rounds,
        seen: [],
      });
    } catch (error) {
      if (!(error instanceof NotHere)) throw error;
      left[name] = error.message;
    }
  }
  for (let round = 0; round < options.rounds; round++) {
    for (const { contender, requests, rounds, seen } of entries) {
      if (round < rounds) seen.push(contender.round(corpus.requests.slice(0, requests)));
    }
  }
  const costs = Object.fromEntries(entries.map((entry) => [entry.name, costOf(entry, expected)]));
  for (const [name, { us }] of Object.entries(costs)) options.progress(`${lines} lines: ${name} ${us.toFixed(2)} µs`);
  return { lines, rules: corpus.rules.length, links: corpus.links.length, costs, left };
}

const truthOf =
  <Request>(decide: (request: Request) => boolean) =>
  (request: Request): number =>
    decide(request) ? 1 : 0;

/** CPU microseconds a decision, once the engine has run for a while. */
function warmCost(contender: Contender, requests: readonly CorpusRequest[], roundMs: number): number {
  // The first ones pay for code that is compiled when it is first called.
  let { us } = contender.round(requests.slice(0, FEWEST_REQUESTS));
  for (let count = FEWEST_REQUESTS; count <= requests.length && us * count < roundMs * 1_000; count *= 5) {
    us = contender.round(requests.slice(0, count)).us;
  }
  return us;
}

function costOf({ contender, requests, seen }: Entry, expected: Uint8Array): EngineCost {
  const wanted = expected.subarray(0, requests);
  return {
    us: Math.min(...seen.map(({ us }) => us)),
    requests,
    rounds: seen.length,
    allowedShare: wanted.reduce((sum, answer) => sum + answer, 0) / requests,
    differences: Math.max(...seen.map(({ answers }) => answers.filter((answer, at) => answer !== wanted[at]).length)),
    says: contender.says,
  };
}
