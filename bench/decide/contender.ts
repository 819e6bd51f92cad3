// One engine in the comparison, and the loop that all of them are measured in: CPU time of the process, requests whose
// texts are new in every round (as they come off a wire, no hash or copy known from the round before), answers kept.
import type { CorpusRequest } from './corpus.ts';

export interface Round {
  /** CPU microseconds a decision, mean of the round. */
  readonly us: number;
  /** 1 for allow, 0 for deny, in the order of the requests. */
  readonly answers: Uint8Array;
}

export interface Contender {
  /** How it says what the corpus says; for the report. */
  readonly says: string;
  readonly round: (requests: readonly CorpusRequest[]) => Round;
}

/** `prepare` puts a request into the form that the engine takes; it is not measured. */
export function contender<Prepared>(
  says: string,
  prepare: (request: CorpusRequest) => Prepared,
  ask: (prepared: Prepared) => boolean,
): Contender {
  return {
    says,
    round(requests) {
      const answers = new Uint8Array(requests.length);
      let us = 0;
      for (let from = 0; from < requests.length; from += BATCH) {
        const prepared = requests.slice(from, from + BATCH).map((request) => prepare(freshCopy(request)));
        const before = process.cpuUsage();
        for (let at = 0; at < prepared.length; at++) answers[from + at] = ask(prepared[at] as Prepared) ? 1 : 0;
        const { user, system } = process.cpuUsage(before);
        us += user + system;
      }
      return { us: us / requests.length, answers };
    },
  };
}

/** Requests prepared together: few enough to be in the processor's caches, as what was just decoded is. */
const BATCH = 500;

const fresh = (text: string): string => Buffer.from(text, 'latin1').toString('latin1');

/** The same request in texts that share nothing with it. */
const freshCopy = ([sub, dom, obj, act, ip]: CorpusRequest): CorpusRequest => [
  fresh(sub),
  fresh(dom),
  fresh(obj),
  fresh(act),
  fresh(ip),
];
