// What the tests of a repository exercised: each grant seen opening, each deny seen denying, each condition seen
// holding and seen not holding, each Casbin line deciding, each operation asked, each row of the state table. Taken from
// the engine's own explanations. Invariants do not count: they ask everything, and expect one thing.
import { casbinRequests, readsDocument } from '../../engine/casbin-request.ts';
import { asNormalised } from '../../engine/path-profile.ts';
import { attributeSchemas, compileConditions, compileDenyConditions } from '../../engine/conditions.ts';
import { compileCasbin, stateTable } from '../../engine/index.ts';
import type { AccessRequest, Explanation } from '../../engine/index.ts';
import type { Slice } from '../../bundle/slice.ts';
import { formatTable } from '../../../runtime/table.ts';
import { buildSlices } from '../build.ts';
import type { SliceEngine } from '../decide.ts';
import { MAX_CASBIN_LINES_COVERED } from '../../limits.ts';
import { placeText, type Repository } from '../repository.ts';
import { questionOf } from '../run-tests.ts';
import { casbinLines, definition } from './casbin-lines.ts';
import { requestOf } from './question.ts';

export type CoverageKind = 'grant' | 'deny' | 'condition' | 'casbin line' | 'operation' | 'state';

/** One thing that a test can exercise. */
export interface Branch {
  readonly kind: CoverageKind;
  /** What has to be seen, in words. */
  readonly what: string;
  /** `file:line`; empty for a row of the state table. */
  readonly place: string;
  readonly covered: boolean;
}

export interface CoverageReport {
  readonly covered: number;
  readonly total: number;
  /** 0 to 100, rounded down. */
  readonly percent: number;
  readonly branches: readonly Branch[];
  /** What was not measured, in words. */
  readonly gaps: readonly string[];
}

/** `now` as in `runPolicyTests`. */
export function coverTests(
  repository: Repository,
  engine: SliceEngine,
  now: number,
  slices: ReadonlyMap<string, Slice> = buildSlices(repository),
): CoverageReport {
  const asked = repository.tests.flatMap((test): Asked[] => {
    const question = questionOf(repository, test, now);
    const slice = slices.get(question.when.device);
    if (slice === undefined) return [];
    const { request, freshness } = requestOf(question);
    const names = engine.operationsOf(slice, request)?.sure ?? [];
    return [{ request, names, explanation: engine.explain(slice, request, freshness) }];
  });
  const large = repository.casbin.filter((model) => casbinLines(model).length > MAX_CASBIN_LINES_COVERED);
  const reading = repository.casbin.filter(({ model }) => readsDocument(definition(model, 'r')));
  const left = new Set([...large, ...reading]);
  const branches = [
    ...ruleBranches(repository, asked, slices),
    ...operationBranches(repository, asked),
    ...repository.casbin
      .filter((model) => !left.has(model))
      .flatMap((model) => casbinBranches(repository, model, asked)),
    ...stateBranches(asked),
  ];
  const covered = branches.filter((branch) => branch.covered).length;
  return {
    covered,
    total: branches.length,
    percent: branches.length === 0 ? 100 : Math.floor((covered * 100) / branches.length),
    branches,
    gaps: [
      ...large.map(({ files }) => `${files.policy} has more than ${MAX_CASBIN_LINES_COVERED} lines`),
      ...reading.map(({ files }) => `lines of ${files.policy}, whose model reads attributes`),
    ],
  };
}

interface Asked {
  readonly request: AccessRequest;
  /** Operations that it surely is. */
  readonly names: readonly string[];
  readonly explanation: Explanation;
}

function ruleBranches(
  { grants, denies }: Repository,
  asked: readonly Asked[],
  slices: ReadonlyMap<string, Slice>,
): Branch[] {
  const all = [...slices.values()];
  const schemas = attributeSchemas(
    [
      ...new Map(
        all.flatMap(({ attributes = [] }) => attributes).map((entry) => [`${entry.source}.${entry.name}`, entry]),
      ).values(),
    ],
    '',
  );
  const anywhere = <T extends { readonly id: string }>(
    list: (slice: Slice) => readonly T[],
    id: string,
  ): T | undefined => all.flatMap(list).find((rule) => rule.id === id);
  return [
    ...grants.flatMap((grant): Branch[] => {
      const rule = `grant:${grant.id}`;
      const place = placeText(grant.at('id'));
      const used = asked.some(({ explanation: { decision } }) => decision.allow && decision.rule === rule);
      const compiled = anywhere((slice) => slice.grants, grant.id);
      const names = compiled === undefined ? [] : compileConditions(compiled, schemas).map(({ name }) => name);
      return [
        { kind: 'grant', what: `${rule} opens`, place, covered: used },
        ...conditionBranches(rule, place, names, asked),
      ];
    }),
    ...denies.flatMap((deny): Branch[] => {
      const rule = `deny:${deny.id}`;
      const place = placeText(deny.at('id'));
      const used = asked.some(({ explanation: { decision } }) => !decision.allow && decision.rule === rule);
      const compiled = anywhere((slice) => slice.denies, deny.id);
      const names = compiled === undefined ? [] : compileDenyConditions(compiled, schemas).map(({ name }) => name);
      return [
        { kind: 'deny', what: `${rule} denies`, place, covered: used },
        ...conditionBranches(rule, place, names, asked),
      ];
    }),
  ];
}

/** An explanation stops at the condition that decides, so the ones before it have held. */
function conditionBranches(rule: string, place: string, names: readonly string[], asked: readonly Asked[]): Branch[] {
  const held = new Set<string>();
  const failed = new Set<string>();
  for (const { step, outcome, rule: of } of asked.flatMap(({ explanation }) => explanation.steps)) {
    if (of !== rule || (step !== 'grant' && step !== 'deny')) continue;
    const stopped = names.findIndex(
      (name) => outcome.startsWith(`${name}: `) || outcome === `does not match, ${name}: fails`,
    );
    const reached = outcome === 'opens it' || outcome === 'matches' ? names.length : stopped;
    for (const name of names.slice(0, Math.max(reached, 0))) held.add(name);
    const name = names[stopped];
    if (name !== undefined) failed.add(name);
  }
  return names.flatMap((name): Branch[] => [
    { kind: 'condition', what: `${rule}: ${name} holds`, place, covered: held.has(name) },
    { kind: 'condition', what: `${rule}: ${name} does not hold`, place, covered: failed.has(name) },
  ]);
}

function operationBranches({ interfaces }: Repository, asked: readonly Asked[]): Branch[] {
  return interfaces.flatMap((entry) =>
    entry.operations.map(({ name }): Branch => ({
      kind: 'operation',
      what: `${name} of ${entry.name} is asked`,
      place: placeText(entry.at('operations', name)),
      covered: asked.some(({ request, names }) => request.resource.interface === entry.name && names.includes(name)),
    })),
  );
}

/** A line is exercised when it decided an answer, or when some answer would be another without it. */
function casbinBranches(
  repository: Repository,
  model: Repository['casbin'][number],
  asked: readonly Asked[],
): Branch[] {
  const named = new Map(
    repository.interfaces
      .filter(({ casbin }) => casbin === model.name)
      .map(({ name, normalise }) => [name, normalise] as const),
  );
  const compiled = compileCasbin({ ...model, modelFile: model.files.model, policyFile: model.files.policy });
  const questions = asked
    .filter(({ explanation }) => explanation.steps.some(({ step }) => step === 'casbin'))
    .filter(({ request }) => named.has(request.resource.interface))
    .map(({ request }) => asNormalised(request, named.get(request.resource.interface)))
    .flatMap((request) => casbinRequests(request, compiled.request));
  const verdicts = questions.map((values) => compiled.enforce(values));
  return casbinLines(model).map(({ line, text, place }): Branch => {
    const decided = verdicts.some((verdict) => verdict.line === line);
    const without = decided || questions.length === 0 ? undefined : compiled.with({ remove: [text] });
    const matters = questions.some((values, index) => without?.enforce(values).allow === !verdicts[index]?.allow);
    return { kind: 'casbin line', what: text, place, covered: decided || matters };
  });
}

function stateBranches(asked: readonly Asked[]): Branch[] {
  return Object.keys(stateTable).map((state): Branch => ({
    kind: 'state',
    what: `a subject is ${state}`,
    place: '',
    covered: asked.some(({ request }) => request.subject.state === state),
  }));
}

const kinds: readonly CoverageKind[] = ['grant', 'deny', 'condition', 'casbin line', 'operation', 'state'];

/** A table by kind and what is missing, for a terminal. */
export function formatCoverage({ branches, covered, total, percent, gaps }: CoverageReport): string {
  const rows = kinds.flatMap((kind) => {
    const of = branches.filter((branch) => branch.kind === kind);
    const seen = of.filter((branch) => branch.covered).length;
    return of.length === 0 ? [] : [[kind, seen, of.length, `${Math.floor((seen * 100) / of.length)} %`]];
  });
  const missing = branches.filter((branch) => !branch.covered);
  return [
    formatTable(['coverage', 'seen', 'of', ''], [...rows, ['all', covered, total, `${percent} %`]]),
    ...missing.map(({ what, place }) => `never     ${place === '' ? '' : `${place}: `}${what}`),
    ...gaps.map((gap) => `not measured: ${gap}`),
  ].join('\n');
}
