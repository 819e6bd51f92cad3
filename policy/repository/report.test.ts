import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadRepository } from './load.ts';
import { explainRule, formatReport, isRuleId, lintReport } from './report.ts';
import { lintRules } from './rules.ts';
import { sampleFiles, sampleNow, sampleWith, treeOf } from './sample-tree.ts';

test('the report for machines counts and places everything', () => {
  const report = lintReport(loadRepository(sampleWith('grants/cell.yaml', 'binding: ip', 'binding: id'), sampleNow));
  assert.equal(report.ok, false);
  assert.equal(report.errors, 1);
  assert.deepEqual(
    report.problems.map(({ file, line, column }) => [file, line, column]),
    [['grants/cell.yaml', 6, 14]],
  );
});

test('warnings fail only a strict run', () => {
  const loaded = loadRepository(treeOf({ ...sampleFiles, 'tests/cell.yaml': 'tests: []\n' }), sampleNow);
  assert.ok(loaded.problems.length > 0 && loaded.repository !== undefined);
  assert.equal(lintReport(loaded).ok, true);
  assert.equal(lintReport(loaded, true).ok, false);
  const clean = loadRepository(treeOf(sampleFiles), sampleNow);
  assert.equal(lintReport(clean, true).ok, true);
});

test('the report for people shows the line and points at the fault', () => {
  const tree = treeOf({
    ...sampleFiles,
    'casbin/hmi/policy.csv': 'p, gateway-1, /status, GET\np, gateway-1, /, get\n',
  });
  const [problem, source, caret, summary, ...rest] = formatReport(loadRepository(tree, sampleNow), tree).split('\n');
  assert.match(
    problem ?? '',
    /^casbin\/hmi\/policy\.csv:2:18: warning CASBIN_VALUE_CASE: get is written GET elsewhere; /,
  );
  assert.equal(source, '    p, gateway-1, /, get');
  assert.equal(caret, `    ${' '.repeat(17)}^`);
  assert.equal(summary, '0 errors, 1 warning');
  assert.deepEqual(rest, []);
});

test('a hostile line moves no cursor and floods no terminal', () => {
  const line = `p, gateway-1, "${'x'.repeat(5_000)}\u001b[2J\u202e", GET\n`;
  const tree = treeOf({ ...sampleFiles, 'casbin/hmi/policy.csv': line });
  const lines = formatReport(loadRepository(tree, sampleNow), tree).split('\n');
  // oxlint-disable-next-line no-control-regex
  for (const shown of lines) assert.ok(!/[\u001b\u202e]/.test(shown));
  const sources = lines.filter((shown) => shown.startsWith('    p,'));
  assert.ok(sources.length > 0 && sources.every((shown) => shown.length < 400));
});

test('a rule is explained with severity, waiver, example and fix', () => {
  assert.ok(isRuleId('CASBIN_EFFECT_TYPO') && !isRuleId('toString'));
  const text = explainRule('CASBIN_EFFECT_TYPO');
  assert.match(text, /^CASBIN_EFFECT_TYPO: error, cannot be waived\n/);
  assert.ok(text.includes(lintRules.CASBIN_EFFECT_TYPO.example) && text.includes(lintRules.CASBIN_EFFECT_TYPO.fix));
  assert.match(explainRule('POLICY_GRANT_UNTESTED'), /warning, a waiver can excuse it/);
});
