// The demo's table on narrow and wide terminals.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReport, StepFailed, timeline, wrap } from './report.ts';

const steps = [
  { name: 'control plane', ok: true, ms: 3275, provenBy: 'openssl s_client: TLS 1.3; root sha256:a6c855b1fba6ed37…' },
  { name: `the enforcer is killed: ${'rules stay '.repeat(5)}`, ok: false, ms: 38, provenBy: 'x'.repeat(150) },
];

test('no line of the table is wider than the terminal, and nothing is lost', () => {
  for (const columns of [60, 80, 100, 200]) {
    const text = timeline(steps, columns);
    assert.ok(text.split('\n').every((line) => line.length <= columns));
    assert.equal(text.match(/x/g)?.length, 150);
  }
});

test('a short table is one line a step', () => {
  assert.equal(
    timeline([{ name: 'begin', ok: true, ms: 7, provenBy: 'curl: 200' }], 80),
    'STEP      MS  OK   PROVEN BY\nbegin      7  yes  curl: 200',
  );
});

test('words are kept whole where they fit', () => {
  assert.deepEqual(wrap('curl: 200; mbpoll: 42', 10), ['curl: 200;', 'mbpoll: 42']);
  assert.deepEqual(wrap('', 10), []);
});

test('steps are shown as they end, wrapped, and a failed one ends the demo', async () => {
  const written: string[] = [];
  const report = createReport({ columns: 60, write: (text) => written.push(text) }, () => 0);
  await report.step('begin', () => Promise.resolve('curl: '.repeat(30)));
  await assert.rejects(
    report.step('end', () => Promise.reject(new Error('nothing answered'))),
    StepFailed,
  );
  assert.ok(
    written
      .join('')
      .split('\n')
      .every((line) => line.length <= 60),
  );
  assert.deepEqual(
    report.steps.map(({ name, ok }) => [name, ok]),
    [
      ['begin', true],
      ['end', false],
    ],
  );
});
