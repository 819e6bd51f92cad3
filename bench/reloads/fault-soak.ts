// Reloads and deltas of one policy, one after the other, each of them first with a fault at some step. Whatever happens,
// the model in force answers as its rules say: while the next one is made, after it failed, and after it took over; and
// the models before it still answer as they did.
import { seededRandom } from '../../store/simulated-files.ts';
import type { CasbinModel, CasbinSource, compileCasbin } from '../../policy/engine/casbin/casbin-model.ts';
import { corpusModel, type CorpusRequest } from '../decide/corpus.ts';
import { PolicyPool, type PooledLine } from './policy-pool.ts';
import { type Strike, watched, type Watched } from './steps.ts';

export interface SoakPlan {
  /** Lines in force. */
  readonly lines: number;
  /** Operations that end well, each after one with a fault. */
  readonly reloads: number;
  readonly deltas: number;
  /** Before all else every single step of one operation of these kinds is struck; then they are spread over all. */
  readonly everyStep: readonly Operation[];
  readonly seed: number;
  readonly progress?: (text: string) => void;
}

export type Moment = 'between steps' | 'after a fault' | 'after a change' | 'an older model';

export interface SoakTally {
  reloads: number;
  deltas: number;
  /** Lines that do not parse, and lines to remove that are not there. */
  refusals: number;
  decisions: number;
  allowed: number;
  readonly wrongAllows: Record<Moment, number>;
  readonly wrongDenies: Record<Moment, number>;
  /** By operation and step. */
  readonly faults: Record<Operation, Map<string, number>>;
  /** Steps that were passed and where no fault has struck. */
  readonly spared: Record<Operation, Set<string>>;
  /** Operations that ended well although a fault struck, or badly without one. */
  swallowed: number;
  broken: number;
  /** Requests that were answered wrongly, the first few. */
  readonly examples: string[];
}

export type Operation = 'reload' | 'delta';
const moments: readonly Moment[] = ['between steps', 'after a fault', 'after a change', 'an older model'];

const zeros = (): Record<Moment, number> =>
  Object.fromEntries(moments.map((moment) => [moment, 0])) as Record<Moment, number>;

const newTally = (): SoakTally => ({
  reloads: 0,
  deltas: 0,
  refusals: 0,
  decisions: 0,
  allowed: 0,
  wrongAllows: zeros(),
  wrongDenies: zeros(),
  faults: { reload: new Map(), delta: new Map() },
  spared: { reload: new Set(), delta: new Set() },
  swallowed: 0,
  broken: 0,
  examples: [],
});

/** A request and what the rules in force said about it when it was asked. */
interface Answered {
  readonly request: CorpusRequest;
  readonly allow: boolean;
}

/** Requests asked at random before and after every operation, beside those that the changed lines decide. */
const RANDOM_REQUESTS = 8;
/** Models before the one in force that are still asked. */
const OLDER_MODELS = 3;
/** Operations beyond the plan, for steps that were passed for the first time at its end. */
const MOST_EXTRA = 1_000;
/** A reload changes so many lines; a delta up to so many. */
const RELOAD_CHANGES = 20;
const DELTA_CHANGES = 5;
/** Every so many operations something is refused on the way. */
const REFUSED_EVERY = 10;

export function runFaultSoak(compile: typeof compileCasbin, plan: SoakPlan): SoakTally {
  const soak = new FaultSoak(compile, plan);
  for (const operation of plan.everyStep) soak.strikeEveryStep(operation);
  for (let n = 0; n < plan.reloads; n++) {
    soak.change('reload', n);
    if (n % 1_000 === 999) plan.progress?.(`${n + 1} reloads`);
  }
  for (let n = 0; n < plan.deltas; n++) {
    soak.change('delta', n);
    if (n % 10_000 === 9_999) plan.progress?.(`${n + 1} deltas`);
  }
  for (const operation of ['reload', 'delta'] as const) soak.strikeTheSpared(operation);
  return soak.tally;
}

class FaultSoak {
  readonly tally = newTally();
  readonly #compile: typeof compileCasbin;
  readonly #random: () => number;
  readonly #pool: PolicyPool;
  #model: CasbinModel;
  readonly #older: { readonly model: CasbinModel; readonly answered: readonly Answered[] }[] = [];
  /** Of the last operation of the kind that ended well. */
  readonly #passed: Record<Operation, Watched<unknown> | undefined> = { reload: undefined, delta: undefined };

  constructor(compile: typeof compileCasbin, plan: SoakPlan) {
    this.#compile = compile;
    this.#random = seededRandom(plan.seed);
    this.#pool = new PolicyPool(plan.lines, 4 * plan.lines, this.#random);
    this.#model = compile(sourceOf(this.#pool.csv));
  }

  /** One operation with a fault, and the same again without. */
  change(operation: Operation, n: number): void {
    const change = this.#pool.choose(operation === 'reload' ? RELOAD_CHANGES : 1 + (n % DELTA_CHANGES));
    const asked = this.#answered(requestsOf(change, this.#someRequests()));
    if (n % REFUSED_EVERY === 0) this.#refuse(operation, change, asked);
    const known = this.#passed[operation];
    if (known !== undefined) this.#strike(operation, change, asked, this.#spared(operation) ?? strikeOf(known, n));
    this.#succeed(operation, change, asked);
  }

  strikeEveryStep(operation: Operation): void {
    const change = this.#pool.choose(DELTA_CHANGES);
    const asked = this.#answered(requestsOf(change, this.#someRequests()));
    for (let occurrence = 1; ; occurrence++) {
      if (!this.#strike(operation, change, asked, { occurrence })) break;
    }
    this.#succeed(operation, change, asked);
  }

  /** Steps that only few changes pass come last. */
  strikeTheSpared(operation: Operation): void {
    for (let n = 0; n < MOST_EXTRA && this.#spared(operation) !== undefined; n++) {
      // What deltas have compiled once stays compiled; a reload begins with nothing.
      if (n % REFUSED_EVERY === 0) this.change('reload', n);
      this.change(operation, n);
    }
  }

  /** A step that was passed and never struck. */
  #spared(operation: Operation): Strike | undefined {
    const [name] = this.tally.spared[operation];
    return name === undefined ? undefined : { name, occurrence: 1 };
  }

  /** False when the operation ended before the fault came. */
  #strike(operation: Operation, change: Change, asked: readonly Answered[], strike: Strike): boolean {
    const seen = watched(this.#work(operation, change), strike, () => this.#askOne(asked));
    if (seen.struck === undefined) {
      if (seen.error !== undefined) this.tally.broken++;
      return false;
    }
    if (seen.result !== undefined) this.tally.swallowed++;
    const faults = this.tally.faults[operation];
    faults.set(seen.struck, (faults.get(seen.struck) ?? 0) + 1);
    this.tally.spared[operation].delete(seen.struck);
    this.#check(this.#model, asked, 'after a fault');
    return true;
  }

  #succeed(operation: Operation, change: Change, asked: readonly Answered[]): void {
    // A delta shares what it does not change with the model in force; nobody can ask that one in the middle of a step.
    const between = operation === 'reload' ? (): void => this.#askOne(asked) : undefined;
    const seen = watched(this.#work(operation, change), undefined, between);
    if (seen.result === undefined) {
      this.tally.broken++;
      return;
    }
    this.#passed[operation] = seen;
    const { faults, spared } = this.tally;
    for (const name of seen.passed.keys()) if (!faults[operation].has(name)) spared[operation].add(name);
    this.#older.unshift({ model: this.#model, answered: asked });
    this.#older.splice(OLDER_MODELS);
    this.#model = seen.result;
    this.#pool.apply(change);
    this.tally[operation === 'reload' ? 'reloads' : 'deltas']++;
    this.#check(this.#model, this.#answered(asked.map(({ request }) => request)), 'after a change');
    for (const { model, answered } of this.#older) this.#check(model, answered, 'an older model');
  }

  /** What operators really send by mistake; nothing of it may remain. */
  #refuse(operation: Operation, change: Change, asked: readonly Answered[]): void {
    const bad = badLines[Math.floor(this.#random() * badLines.length)] ?? '';
    const gone = this.#pool.waiting.find(({ text }) => !change.comes.some((line) => line.text === text))?.text ?? bad;
    const added = textsOf(change.comes);
    const attempts: readonly (() => CasbinModel)[] =
      operation === 'reload'
        ? [() => this.#compile(sourceOf(`${this.#pool.csv}\n${bad}`))]
        : [
            () => this.#model.with({ add: [...added, { text: bad, line: 9 }] }),
            () => this.#model.with({ remove: [...change.leaves.map(({ text }) => text), gone], add: added }),
          ];
    for (const attempt of attempts) {
      const { result, error } = watched(attempt, undefined, () => this.#askOne(asked));
      if (result === undefined && error !== undefined) this.tally.refusals++;
      else this.tally.broken++;
      this.#check(this.#model, asked, 'after a fault');
    }
  }

  #work(operation: Operation, change: Change): () => CasbinModel {
    if (operation === 'reload') {
      const leaving = new Set(change.leaves.map(({ text }) => text));
      const kept = this.#pool.csv.split('\n').filter((text) => !leaving.has(text));
      const source = sourceOf([...kept, ...change.comes.map(({ text }) => text)].join('\n'));
      return () => this.#compile(source);
    }
    const model = this.#model;
    return () => model.with({ remove: change.leaves.map(({ text }) => text), add: textsOf(change.comes) });
  }

  #someRequests(): CorpusRequest[] {
    const { requests } = this.#pool;
    return Array.from({ length: RANDOM_REQUESTS }, () => requests[Math.floor(this.#random() * requests.length)]).filter(
      (request) => request !== undefined,
    );
  }

  #answered(requests: readonly CorpusRequest[]): readonly Answered[] {
    return requests.map((request) => ({ request, allow: this.#pool.rules.allows(request) }));
  }

  #next = 0;
  #askOne(asked: readonly Answered[]): void {
    const one = asked[this.#next++ % asked.length];
    if (one !== undefined) this.#check(this.#model, [one], 'between steps');
  }

  #check(model: CasbinModel, answered: readonly Answered[], moment: Moment): void {
    const { tally } = this;
    for (const { request, allow } of answered) {
      const answer = model.enforce(request).allow;
      tally.decisions++;
      if (answer) tally.allowed++;
      if (answer === allow) continue;
      (answer ? tally.wrongAllows : tally.wrongDenies)[moment]++;
      if (tally.examples.length < 5)
        tally.examples.push(`${moment}: ${request.join(' ')}: ${answer ? 'allow' : 'deny'}`);
    }
  }
}

type Change = ReturnType<PolicyPool['choose']>;

const sourceOf = (policy: string): CasbinSource => ({
  model: corpusModel,
  policy,
  modelFile: 'corpus.conf',
  policyFile: 'corpus.csv',
});

const textsOf = (lines: readonly PooledLine[]): { text: string; line: number }[] =>
  lines.map(({ text }, at) => ({ text, line: at + 1 }));

const requestsOf = ({ leaves, comes }: Change, others: readonly CorpusRequest[]): CorpusRequest[] => [
  ...[...leaves, ...comes].flatMap(({ requests }) => requests),
  ...others,
];

const badLines = [
  'p, viewer, site-1, /a/*, read, 10.0.0.0/8, Deny',
  'p, viewer, site-1, /a/*, read, 10.0.0.0/33, allow',
  'p, viewer, site-1, /a/:, read, 10.0.0.0/8, allow',
  'p, viewer, site-1, /a/*, read, 10.0.0.0/8',
  'g, device-1, viewer',
  'q, device-1, viewer, site-1',
];

/** Half of the strikes go through all steps evenly, half through the names, so that a rare step has its turn too. */
function strikeOf({ passed, total }: Watched<unknown>, n: number): Strike {
  const turn = Math.floor(n / 2);
  if (n % 2 === 0) return { occurrence: 1 + Math.floor((turn * goldenShare * total) % total) };
  const names = [...passed.keys()];
  const name = names[turn % names.length] ?? '';
  const often = passed.get(name) ?? 1;
  return { name, occurrence: 1 + Math.floor((Math.floor(turn / names.length) * goldenShare * often) % often) };
}

/** Multiples of it, taken modulo one, fill the range evenly. */
const goldenShare = 0.618_033_988_75;
