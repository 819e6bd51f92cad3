import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { loadRepository } from './load.ts';
import { lintRules } from './rules.ts';
import { sampleFiles, sampleNow, treeOf } from './sample-tree.ts';
import { sarifLog } from './sarif.ts';

// The schema of OASIS, as @microsoft/jest-sarif 1.0.0-beta.0 (MIT) carries it. zod takes "uri-reference" for an absolute
// address, which a path in a repository is not.
const text = readFileSync(join(import.meta.dirname, 'testing/sarif-2.1.0-rtm.5.json'), 'utf8');
const schema = z.fromJSONSchema(
  JSON.parse(text.replaceAll('"format": "uri-reference"', '"description": ""')) as never,
  {
    defaultTarget: 'draft-4',
  },
);

interface Log {
  runs: {
    tool: { driver: { rules: { id: string }[] } };
    results: {
      ruleId: string;
      ruleIndex: number;
      level: string;
      locations: { physicalLocation: { artifactLocation: { uri: string }; region: object } }[];
      partialFingerprints: Record<string, string>;
      suppressions?: object[];
    }[];
  }[];
}

const faulty = {
  ...sampleFiles,
  'casbin/hmi/policy.csv': 'p, gateway-1, /status, GET\np, gateway-1, /status, GET\np, , /, GET\n',
};
const logOf = (files: Record<string, string>): Log => {
  const tree = treeOf(files);
  return JSON.parse(JSON.stringify(sarifLog(loadRepository(tree, sampleNow), tree, '0.1.0'))) as Log;
};

test('the schema refuses what is not SARIF', () => {
  const log = logOf(faulty);
  const result = log.runs[0]?.results[0];
  assert.ok(result);
  for (const wrong of [
    { ...result, level: 'fatal' },
    { ...result, ruleIndex: -2 },
    { ...result, unknown: 1 },
    { ...result, message: 'text' },
    { ...result, locations: [{ physicalLocation: { region: { startLine: 0 } } }] },
  ]) {
    assert.ok(
      !schema.safeParse({ ...log, runs: [{ ...log.runs[0], results: [wrong] }] }).success,
      JSON.stringify(wrong),
    );
  }
});

test('a log is SARIF 2.1.0, with every rule and one result a problem', () => {
  const log = logOf(faulty);
  const checked = schema.safeParse(log);
  assert.ok(checked.success, String(checked.error));
  const [run] = log.runs;
  assert.deepEqual(
    run?.tool.driver.rules.map(({ id }) => id),
    Object.keys(lintRules),
  );
  assert.deepEqual(
    run?.results.map(({ ruleId, level, locations: [location] }) => [ruleId, level, location?.physicalLocation]),
    [['CASBIN_COLUMN_EMPTY', 'error', { artifactLocation: artifact, region: { startLine: 3, startColumn: 4 } }]],
  );
  for (const { ruleId, ruleIndex } of run?.results ?? []) assert.equal(run?.tool.driver.rules[ruleIndex]?.id, ruleId);
});

const artifact = { uri: 'casbin/hmi/policy.csv', uriBaseId: '%SRCROOT%' };

test('a finding keeps its fingerprint when lines above it come and go, and no two share one', () => {
  const prints = (policy: string): string[] =>
    (logOf({ ...sampleFiles, 'casbin/hmi/policy.csv': policy }).runs[0]?.results ?? []).flatMap((result) =>
      Object.values(result.partialFingerprints),
    );
  const line = 'p, gateway-1, /status, GET\n';
  const before = prints(line.repeat(3));
  assert.equal(new Set(before).size, 2);
  assert.deepEqual(prints(`# a comment\n\n${line.repeat(3)}`), before);
});

test('what a waiver excuses is a suppressed result', () => {
  const waivers =
    'waivers:\n  - {id: w, rule: CASBIN_LINE_DUPLICATE, at: casbin/hmi/policy.csv:2, owner: ops, reason: generated, until: 2027-01-01}\n';
  const log = logOf({
    ...sampleFiles,
    'casbin/hmi/policy.csv': 'p, gateway-1, /, GET\n'.repeat(2),
    'waivers/w.yaml': waivers,
  });
  assert.ok(schema.safeParse(log).success);
  const [result, ...others] = log.runs[0]?.results ?? [];
  assert.deepEqual(others, []);
  assert.deepEqual(result?.suppressions, [
    {
      kind: 'external',
      status: 'accepted',
      justification: 'waiver w of ops until 2027-01-02T00:00:00.000Z: generated',
    },
  ]);
});
