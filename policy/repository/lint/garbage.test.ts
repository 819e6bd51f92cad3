// Whatever stands in the files: lint says something about it and never throws, and what it passes, the engine compiles.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CodedError } from '../../../runtime/errors.ts';
import { compileCasbin } from '../../engine/casbin/casbin-model.ts';
import { compileSlice } from '../../engine/index.ts';
import { buildSlices } from '../build.ts';
import { loadRepository } from '../load.ts';
import { formatReport, lintReport } from '../report.ts';
import { sampleFiles, sampleNow, treeOf } from '../sample-tree.ts';
import { sarifLog } from '../sarif.ts';
import { filesOf, randomRepository } from './testing/random-repository.ts';

/** What turns one file into a slightly different one: where, how many characters go, what comes. */
const edit = fc.record({
  file: fc.nat(),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  remove: fc.nat({ max: 12 }),
  insert: fc.oneof(
    fc.constantFrom(
      '',
      '\n',
      '*',
      '/',
      ':',
      '{',
      '}',
      '"',
      ', ',
      '[',
      '&&',
      '||',
      '!',
      'p',
      'eft',
      'deny',
      '\\',
      '0',
      '-1',
      '\u0000',
      '\t',
      '#',
      '=',
      '(',
      ')',
      '/:',
      '/**',
      '^$',
      '10.0.0.0/33',
    ),
    fc.string({ maxLength: 6, unit: 'binary' }),
  ),
});
type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never;

function edited(
  files: Record<string, string>,
  edits: readonly Edit[],
  only: (file: string) => boolean,
): Record<string, string> {
  const result = { ...files };
  const names = Object.keys(files).filter(only).toSorted();
  for (const { file, at, remove, insert } of edits) {
    const name = names[file % names.length] ?? '';
    const text = result[name] ?? '';
    const from = Math.floor(at * text.length);
    result[name] = text.slice(0, from) + insert + text.slice(from + remove);
  }
  return result;
}

test('random faults in random repositories: a report in every form, each problem with its place', () => {
  let loaded = 0;
  fc.assert(
    fc.property(randomRepository, fc.array(edit, { maxLength: 4 }), (repository, edits) => {
      const tree = treeOf(edited(filesOf(repository), edits, () => true));
      const found = loadRepository(tree, sampleNow);
      for (const { place, message } of found.problems) {
        assert.ok(place.line >= 1 && place.column >= 1 && message !== '', JSON.stringify(place));
        assert.ok(tree.files.has(place.file) || /^(edgeward\.yaml|casbin\/)/.test(place.file), place.file);
      }
      assert.equal(lintReport(found).ok, found.repository !== undefined);
      assert.ok(formatReport(found, tree).length > 0);
      assert.ok(JSON.stringify(sarifLog(found, tree, '0.0.0')).length > 0);
      if (found.repository === undefined) return;
      loaded++;
      const meta = { digest: '', softExpiry: sampleNow + 1, hardExpiry: sampleNow + 2 };
      for (const slice of buildSlices(found.repository).values()) compileSlice(slice, meta);
    }),
    { numRuns: 150 },
  );
  assert.ok(loaded > 5, `${loaded} load`);
});

test('files of anything at all', () => {
  const paths = Object.keys(sampleFiles);
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.uint8Array({ maxLength: 400 }), (path, bytes) => {
      const tree = { files: new Map([...treeOf(sampleFiles).files, [path, bytes]]) };
      assert.ok(formatReport(loadRepository(tree, sampleNow), tree).length > 0);
    }),
    { numRuns: 150 },
  );
});

test('lint finds an error in a Casbin model exactly when the engine refuses it', () => {
  let [refused, taken] = [0, 0];
  fc.assert(
    fc.property(randomRepository, fc.array(edit, { maxLength: 3 }), (repository, edits) => {
      const files = edited(filesOf(repository), edits, (file) => file.startsWith('casbin/'));
      const [model = '', policy = ''] = [files['casbin/hmi/model.conf'], files['casbin/hmi/policy.csv']];
      const found = loadRepository(treeOf(files), sampleNow).problems.filter(({ place }) =>
        place.file.startsWith('casbin/'),
      );
      const error = refusal(model, policy);
      const shown = `${error?.message}\n${model}${policy}${found.map(({ rule, message }) => `${rule} ${message}`).join('\n')}`;
      if (error === undefined) taken++;
      else {
        refused++;
        assert.ok(
          found.some(({ severity }) => severity === 'error'),
          shown,
        );
      }
      // What only lint refuses is named in this list, and nothing else.
      const own = found.filter(({ severity, rule }) => severity === 'error' && !stricter.test(rule));
      assert.equal(own.length > 0, error !== undefined, shown);
    }),
    { numRuns: 400 },
  );
  assert.ok(refused > 50 && taken > 50, `${refused} refused, ${taken} taken`);
});

/** Errors of lint over models that the engine takes: what they say is in force, and is not what was meant. */
const stricter =
  /^CASBIN_(DENY_IGNORED|POLICY_COLUMN_UNUSED|WILDCARD_LITERAL|PATTERN_DIALECT|COMMENT_INLINE|MATCHER_CONSTANT|POLICY_EMPTY|REQUEST_FIELD_UNKNOWN)$/;

function refusal(model: string, policy: string): CodedError | undefined {
  try {
    compileCasbin({ model, policy, modelFile: 'm', policyFile: 'p' });
    return undefined;
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
}
