// What lint calls redundant is: without it the real engine answers every request as before.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { AccessRequest } from '../../engine/request.ts';
import { buildSlices } from '../build.ts';
import { decideWithEngine } from '../decide.ts';
import { loadRepository } from '../load.ts';
import type { Problem } from '../problems.ts';
import type { RuleId } from '../rules.ts';
import { sampleNow, treeOf } from '../sample-tree.ts';
import { filesOf, randomRepository, randomRequest, type RandomRepository } from './testing/random-repository.ts';

const redundant: ReadonlySet<RuleId> = new Set([
  'POLICY_RULE_DUPLICATE',
  'POLICY_RULE_SHADOWED',
  'POLICY_RULE_CONTRADICTORY',
  'POLICY_GRANT_UNREACHABLE',
  'CASBIN_LINE_DUPLICATE',
  'CASBIN_LINE_SHADOWED',
  'CASBIN_LINE_CONTRADICTORY',
  'CASBIN_LINE_DENIED',
  'CASBIN_LINE_UNREACHABLE',
  'CASBIN_VALUE_CASE',
  'CASBIN_ROLE_SELF',
  'CASBIN_ROLE_UNREFERENCED',
] satisfies RuleId[]);

type Part = 'grants' | 'denies' | 'casbin';
const partOf: Readonly<Record<string, Part>> = {
  'grants/cell.yaml': 'grants',
  'grants/denies.yaml': 'denies',
  'casbin/hmi/policy.csv': 'casbin',
};

/** The repository without the entries that the problems are about. */
function without(repository: RandomRepository, problems: readonly Problem[]): RandomRepository {
  const lines = Map.groupBy(problems, ({ place }) => partOf[place.file]);
  // The first entry of a YAML list stands on line 2, and of policy.csv on line 1.
  const gone = (part: Part, first: number): ReadonlySet<number> =>
    new Set((lines.get(part) ?? []).map(({ place }) => place.line - first));
  const kept = <T>(entries: readonly T[], removed: ReadonlySet<number>): T[] =>
    entries.filter((_, index) => !removed.has(index));
  const ided = (prefix: string, entries: readonly object[]): object[] =>
    entries.map((entry, index) => ({ id: `${prefix}${index}`, ...entry }));
  return {
    ...repository,
    grants: kept(ided('g', repository.grants), gone('grants', 2)),
    denies: kept(ided('d', repository.denies), gone('denies', 2)),
    casbin: { ...repository.casbin, lines: kept(repository.casbin.lines, gone('casbin', 1)) },
  };
}

type Ask = (device: string, request: AccessRequest) => string;

/** What the engine answers over the slices of the repository: allowed or not, with which duties. */
function engineOf(repository: RandomRepository): { ask: Ask; problems: readonly Problem[] } | undefined {
  const loaded = loadRepository(treeOf(filesOf(repository)), sampleNow);
  if (loaded.repository === undefined) return undefined;
  const slices = buildSlices(loaded.repository);
  const { decide } = decideWithEngine();
  return {
    problems: loaded.problems,
    ask: (device, request) => {
      const slice = slices.get(device);
      if (slice === undefined) throw new Error(`no slice of ${device}`);
      const { allow, ...rest } = decide(slice, request);
      return JSON.stringify([allow, 'obligations' in rest ? rest.obligations : undefined]);
    },
  };
}

/** About eight seconds; 5,000 were run when the analysis was written. */
const RUNS = 200;

test('what is reported as redundant can go, one by one and all together, without changing a decision', () => {
  const seen = new Map<string, number>();
  let [allowed, asked, loaded] = [0, 0, 0];
  fc.assert(
    fc.property(
      randomRepository,
      fc.array(randomRequest, { minLength: 60, maxLength: 60 }),
      fc.nat(),
      (repository, requests, choice) => {
        const before = engineOf(repository);
        if (before !== undefined) loaded++;
        const found = before?.problems.filter(({ rule }) => redundant.has(rule)) ?? [];
        const one = found[choice % Math.max(1, found.length)];
        if (before === undefined || one === undefined) return;
        for (const { rule } of found) seen.set(rule, (seen.get(rule) ?? 0) + 1);
        for (const gone of [[one], found]) {
          const reduced = without(repository, gone);
          if (reduced.casbin.lines.every((line) => !line.startsWith('p'))) continue;
          const after = engineOf(reduced);
          assert.ok(after, `does not load without ${JSON.stringify(gone)}`);
          for (const { device, request } of requests) {
            const was: string = before.ask(device, request);
            const is: string = after.ask(device, request);
            asked++;
            if (was.startsWith('[true')) allowed++;
            if (was === is) continue;
            const shown = Object.entries(filesOf(repository)).filter(([file]) => /grants|casbin|interfaces/.test(file));
            const text = shown.map(([file, content]) => `${file}\n${content}`).join('');
            assert.fail(
              `${was} became ${is} for ${JSON.stringify(request)} without ${JSON.stringify(gone)} in\n${text}`,
            );
          }
        }
      },
    ),
    { numRuns: RUNS, endOnFailure: true },
  );
  // The property is empty where nothing is found, or nothing allowed.
  for (const rule of redundant)
    assert.ok((seen.get(rule) ?? 0) > 0, `${rule} was never seen: ${JSON.stringify([...seen])}`);
  assert.ok(allowed > asked / 50, `${allowed} of ${asked} allowed`);
  assert.ok(loaded > RUNS / 2, `${loaded} of ${RUNS} load`);
});
