// One answer explained: what decided, through which steps, and the smallest change of the closed list in edits.ts that
// would flip it. Every change is really made and really decided again; all smaller ones have been tried before.
import { CodedError } from '../../../runtime/errors.ts';
import type { Slice } from '../../bundle/slice.ts';
import { clientReasons, type Decision, type ExplanationStep } from '../../engine/index.ts';
import { slicesToAsk } from '../build.ts';
import type { SliceEngine } from '../decide.ts';
import { MAX_FLIP_EDITS, MAX_FLIP_TRIES } from '../../limits.ts';
import type { Repository } from '../repository.ts';
import { policyEdits, requestEdits, type Edit } from './edits.ts';
import { describeQuestion, requestOf, testEntry, type Question } from './question.ts';
import { spaceOf } from './space.ts';

export interface Flip {
  /** What to do, each in words with its place. */
  readonly edits: readonly Pick<Edit, 'side' | 'what' | 'place'>[];
  /** The answer after it. */
  readonly decision: Decision;
}

export interface Flips {
  /** Number of edits of each of them; 0 when none was found. */
  readonly size: number;
  readonly flips: readonly Flip[];
  /** Combinations that were decided. */
  readonly tried: number;
  /** False when the search ended at its bound: a larger one, or one of this size, may exist. */
  readonly complete: boolean;
}

export interface PolicyExplanation {
  readonly question: Question;
  /** The question, in words. */
  readonly asked: string;
  readonly decision: Decision;
  /** What may be told to who was refused; says nothing about the policy. */
  readonly clientReason: string;
  readonly steps: readonly ExplanationStep[];
  /** From the rule that decided to the commit, each `what: place`. */
  readonly chain: readonly string[];
  /** Changes of the request alone, of the policy alone, and of both where that is smaller. */
  readonly flips: { readonly request: Flips; readonly policy: Flips; readonly both?: Flips };
  /** The question with its answer as an entry of tests/*.yaml. */
  readonly test: object;
}

/** `commit`: what the repository was read from, in words. Throws POLICY_* never, ENGINE_* for a policy that lint refuses. */
export function explainQuestion(
  repository: Repository,
  engine: SliceEngine,
  question: Question,
  commit: string,
): PolicyExplanation {
  const { when } = question;
  const slice = sliceOf(repository, when.device);
  const { request, freshness } = requestOf(question);
  const { decision, steps } = engine.explain(slice, request, freshness);
  const space = spaceOf(engine, [slice], when.interface, when.device, {
    subjects: repository.devices.map(({ id }) => id),
    strangers: true,
    now: question.given.time,
  });
  const names = engine.operationsOf(slice, request)?.sure ?? [];
  const search = (edits: readonly Edit[], below: number): Flips =>
    findFlips(edits, repository, engine, question, decision.allow, below);
  const ofRequest = requestEdits(question, slice, space);
  const ofPolicy = policyEdits(repository, question, names);
  const byRequest = search(ofRequest, MAX_FLIP_EDITS + 1);
  const byPolicy = search(ofPolicy, MAX_FLIP_EDITS + 1);
  const least = Math.min(byRequest.size || Infinity, byPolicy.size || Infinity, MAX_FLIP_EDITS + 1);
  const both = least > 2 ? search([...ofRequest, ...ofPolicy], least) : undefined;
  return {
    question,
    asked: describeQuestion(question),
    decision,
    clientReason: clientReasons[decision.reason],
    steps,
    chain: chainOf(repository, slice, question, decision, commit),
    flips: { request: byRequest, policy: byPolicy, ...(both === undefined || both.size === 0 ? {} : { both }) },
    test: testEntry('as explained', question, decision),
  };
}

function chainOf(
  repository: Repository,
  slice: Slice,
  question: Question,
  decision: Decision,
  commit: string,
): string[] {
  const entry = slice.interfaces.find(
    ({ name, device }) => name === question.when.interface && device === question.when.device,
  );
  return [
    ...(decision.rule === '' ? [] : [`${decision.rule}: ${decision.place}`]),
    ...(decision.operation === '' ? [] : [`operation ${decision.operation}`]),
    ...(entry === undefined ? [] : [`interface ${entry.name}: ${entry.place}`]),
    `slice of ${slice.device}`,
    `trust domain ${repository.trustDomain}`,
    commit,
  ];
}

function sliceOf(repository: Repository, device: string): Slice {
  const slice = slicesToAsk(repository, new Set([device])).get(device);
  if (slice === undefined) throw new Error(`${device} is not in the inventory`);
  return slice;
}

/** All flips of the smallest size below `below`. */
export function findFlips(
  edits: readonly Edit[],
  repository: Repository,
  engine: SliceEngine,
  question: Question,
  allowed: boolean,
  below: number,
): Flips {
  const slices = new Map<string, Slice | undefined>();
  let tried = 0;
  for (let size = 1; size < below; size++) {
    const flips: Flip[] = [];
    for (const chosen of combinations(edits, size)) {
      if (tried >= MAX_FLIP_TRIES) return { size: flips.length === 0 ? 0 : size, flips, tried, complete: false };
      tried += 1;
      const slice = changedSlice(repository, chosen, question.when.device, slices, engine);
      if (slice === undefined) continue;
      const changed = chosen.reduce((asked, edit) => edit.request(asked), question);
      const { request, freshness } = requestOf(changed);
      const decision = engine.decide(slice, request, freshness);
      if (decision.allow === allowed) continue;
      flips.push({ edits: chosen.map(({ side, what, place }) => ({ side, what, place })), decision });
    }
    if (flips.length > 0) return { size, flips, tried, complete: true };
  }
  return { size: 0, flips: [], tried, complete: true };
}

/** The slice after the changes of the policy, or undefined when it does not compile. */
function changedSlice(
  repository: Repository,
  chosen: readonly Edit[],
  device: string,
  slices: Map<string, Slice | undefined>,
  engine: SliceEngine,
): Slice | undefined {
  const changes = chosen.filter(({ side }) => side === 'policy');
  const key = JSON.stringify(changes.map(({ what }) => what));
  if (slices.has(key)) return slices.get(key);
  const made = attempt(() => {
    const slice = sliceOf(
      changes.reduce((old, edit) => edit.policy(old), repository),
      device,
    );
    engine.compile(slice);
    return slice;
  });
  slices.set(key, made);
  return made;
}

function attempt(make: () => Slice): Slice | undefined {
  try {
    return make();
  } catch (error) {
    if (error instanceof CodedError && error.code.startsWith('ENGINE_')) return undefined;
    throw error;
  }
}

/** Sets of `size` edits of different aspects, in the order of the list. */
export function* combinations(edits: readonly Edit[], size: number, from = 0): Generator<readonly Edit[]> {
  if (size === 0) {
    yield [];
    return;
  }
  for (let index = from; index < edits.length; index++) {
    const first = edits[index];
    if (first === undefined) continue;
    for (const rest of combinations(edits, size - 1, index + 1)) {
      if (rest.every(({ aspect }) => aspect !== first.aspect)) yield [first, ...rest];
    }
  }
}

const shownFlips = 8;

/** Lines for a terminal. */
export function formatExplanation({ asked, decision, clientReason, steps, chain, flips }: PolicyExplanation): string {
  const answer = decision.allow ? 'ALLOW' : 'DENY';
  const observed = decision.observed === undefined ? '' : ` (observe mode; policy says ${decision.observed})`;
  return [
    asked,
    `${answer}  ${decision.reason}${observed}${decision.rule === '' ? '' : `  by ${decision.rule}  ${decision.place}`}`,
    `told to the client: ${clientReason}`,
    '',
    'steps',
    ...steps.map(
      ({ step, outcome, rule, place }) =>
        `  ${step.padEnd(9)} ${[rule, outcome].filter(Boolean).join('  ')}${place === '' ? '' : `  ${place}`}`,
    ),
    '',
    'chain',
    ...chain.map((link) => `  ${link}`),
    '',
    `what would make it ${decision.allow ? 'deny' : 'allow'}`,
    ...formatFlips('of the request', flips.request),
    ...formatFlips('of the policy', flips.policy),
    ...(flips.both === undefined ? [] : formatFlips('of both', flips.both)),
  ].join('\n');
}

function formatFlips(where: string, { size, flips, tried, complete }: Flips): string[] {
  const bound = complete ? '' : ', and the search was cut off there';
  if (size === 0) return [`  no change ${where} up to ${MAX_FLIP_EDITS} steps (${tried} tried${bound})`];
  const more = flips.length > shownFlips ? [`    … and ${flips.length - shownFlips} more`] : [];
  return [
    `  the smallest change ${where}: ${size === 1 ? 'one step' : `${size} steps`} (${tried} tried${bound})`,
    ...flips
      .slice(0, shownFlips)
      .map(
        ({ edits }) =>
          `    ${edits.map(({ what, place }) => `${what}${place === '' ? '' : ` (${place})`}`).join(' and ')}`,
      ),
    ...more,
  ];
}
